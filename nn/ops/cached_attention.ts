import { type Span, subspan } from "../../kernels/mod.ts";
import type { AttentionInputs, ColumnView } from "./attention_inputs.ts";
import { headsOf } from "../lowering.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import type { FirstKeys } from "./places.ts";
import { allocateAttention, attentionArgs, headRows, inputTensors } from "./attention_arguments.ts";

/** Keys and values of the tokens that one attention layer has seen: generation computes each only once. */
export class KeyValueCache {
  /** Tokens in the cache before the next one is added. */
  length = 0;
  readonly #capacity: number;
  readonly #width: number;
  readonly #keys: Span;
  readonly #values: Span;

  /**
   * Allocates `capacity` keys and values of `width` elements each, for the life of the tape.
   *
   * @param width That of all heads of keys, G D: heads of queries that share one need no more.
   */
  constructor(tape: Tape, capacity: number, width: number) {
    this.#capacity = capacity;
    this.#width = width;
    this.#keys = tape.scratch("key cache", capacity * width, "activations", tape.precision);
    this.#values = tape.scratch("value cache", capacity * width, "activations", tape.precision);
  }

  /**
   * Records attention of new tokens to all cached ones, to those before them, and to themselves. For inference only.
   *
   * Shapes: q [1, N, H D], k and v [1, N, G D], result [1, N, H D].
   *
   * @throws {RangeError} If the keys are of another width than the cache, or the inputs do not fit each other.
   */
  readonly attend = (tape: Tape, inputs: AttentionInputs): Tensor => {
    const { out, logSumExp, tokens, ...sizes } = allocateAttention(tape, inputs), { backend } = tape;
    const width = this.#width, needed = sizes.kvHeads * sizes.headDim;
    if (needed !== width) {
      throw new RangeError(
        `Cannot cache keys of ${needed} elements: the cache was made for ${width} elements each`,
      );
    }
    const newKeys = rowsOf(inputs.k, width), newValues = rowsOf(inputs.v, width);
    const cached = { ld: width, stride: 0 };
    const args = attentionArgs({ ...sizes, queries: tokens, keys: tokens, causal: true, logSumExp }, {
      ...{ q: headRows(inputs.q), out: headRows({ tensor: out, column: 0 }) },
      ...{ k: { ...cached, span: this.#keys }, v: { ...cached, span: this.#values } },
    });
    // All workspace at once: where it grew with the text, its holes would depend on how the text was read.
    const most = Math.min(this.#capacity, (inputs.window ?? Infinity) + tokens - 1);
    backend.reserve?.("attention", { ...args, keys: most, queryOffset: most - tokens });
    const windows = inputs.window === undefined || tokens === 1
      ? undefined
      : tape.scratch("first keys", tokens, "activations", "i32");
    return tape.record({
      name: "attention",
      inputs: inputTensors(inputs),
      output: out,
      forward: () => {
        for (let i = 0; i < tokens; i++) {
          const row = (this.length + i) * width;
          backend.copy(newKeys[i], subspan(this.#keys, row, width));
          backend.copy(newValues[i], subspan(this.#values, row, width));
        }
        const first = Math.max(0, this.length + 1 - (inputs.window ?? Infinity));
        const keys = this.length + tokens - first, seen = (cache: Span) => subspan(cache, first * width);
        const call = { ...args, k: seen(args.k), v: seen(args.v), keys, queryOffset: keys - tokens };
        backend.attention(
          windows === undefined ? call : { ...call, ...this.#firstKeys(tape, windows, inputs) },
        );
      },
      lower: (lowering) => lowering.attend(headsOf(lowering, inputs), inputs.window),
    });
  };

  /** First keys of the queries, counted from that of the first query. */
  #firstKeys({ heap }: Tape, span: Span, { window = Infinity }: AttentionInputs): FirstKeys {
    const keys = heap.i32(span), firstOf = (i: number) => Math.max(0, this.length + i + 1 - window);
    for (let i = 0; i < keys.length; i++) keys[i] = firstOf(i) - firstOf(0);
    return { firstKeys: span, strideFirstKeys: 0 };
  }
}

/** The rows of a view of one sample, each as a span. */
function rowsOf({ tensor, column }: ColumnView, width: number): Span[] {
  const [, tokens, columns] = tensor.shape;
  return Array.from({ length: tokens }, (_, i) => subspan(tensor.span, i * columns + column, width));
}
