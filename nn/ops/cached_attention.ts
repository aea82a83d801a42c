import { type Span, subspan } from "../../kernels/mod.ts";
import type { AttentionInputs, ColumnView } from "./attention_inputs.ts";
import { headsOf } from "../lowering.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { allocateAttention, attentionArgs, headRows, inputTensors } from "./attention_arguments.ts";

/** Keys and values of the tokens that one attention layer has seen: generation computes each only once. */
export class KeyValueCache {
  /** Tokens in the cache before the next one is added. */
  length = 0;
  readonly #width: number;
  readonly #keys: Span;
  readonly #values: Span;

  /**
   * Allocates `capacity` keys and values of `width` elements each, for the life of the tape.
   *
   * @param width That of all heads of keys, G D: heads of queries that share one need no more.
   */
  constructor(tape: Tape, capacity: number, width: number) {
    this.#width = width;
    this.#keys = tape.scratch("key cache", capacity * width, "activations", tape.precision);
    this.#values = tape.scratch("value cache", capacity * width, "activations", tape.precision);
  }

  /**
   * Records attention of one new token to all cached ones and itself. For inference only.
   *
   * Shapes: q [1, 1, H D], k and v [1, 1, G D], result [1, 1, H D].
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
    const newRow = ({ tensor, column }: ColumnView) => subspan(tensor.span, column, width);
    const newKey = newRow(inputs.k), newValue = newRow(inputs.v), cached = { ld: width, stride: 0 };
    const args = attentionArgs({ ...sizes, queries: tokens, keys: 1, causal: true, logSumExp }, {
      ...{ q: headRows(inputs.q), out: headRows({ tensor: out, column: 0 }) },
      ...{ k: { ...cached, span: this.#keys }, v: { ...cached, span: this.#values } },
    });
    return tape.record({
      name: "attention",
      inputs: inputTensors(inputs),
      output: out,
      forward: () => {
        backend.copy(newKey, subspan(this.#keys, this.length * width, width));
        backend.copy(newValue, subspan(this.#values, this.length * width, width));
        const keys = Math.min(this.length + 1, inputs.window ?? Infinity), first = this.length + 1 - keys;
        const seen = (cache: Span) => subspan(cache, first * width);
        backend.attention({ ...args, k: seen(args.k), v: seen(args.v), keys, queryOffset: keys - 1 });
      },
      lower: (lowering) => lowering.attend(headsOf(lowering, inputs), inputs.window),
    });
  };
}
