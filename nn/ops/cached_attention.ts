import { type Span, subspan } from "../../kernels/mod.ts";
import type { Tape } from "../tape.ts";
import type { Tensor } from "../tensor.ts";

/** Keys and values of the tokens that one attention layer has seen: generation computes each only once. */
export class KeyValueCache {
  /** Tokens in the cache before the next one is added. */
  length = 0;
  readonly #keys: Span;
  readonly #values: Span;

  /** Allocates `capacity` keys and values of `width` elements each, for the life of the tape. */
  constructor(tape: Tape, capacity: number, width: number) {
    this.#keys = tape.scratch("key cache", capacity * width, "activations", tape.precision);
    this.#values = tape.scratch("value cache", capacity * width, "activations", tape.precision);
  }

  /**
   * Records attention of one new token to all cached ones and itself. For inference only.
   *
   * Shapes: qkv [1, 1, 3C], result [1, 1, C].
   */
  readonly attend = (tape: Tape, qkv: Tensor, headDim: number): Tensor => {
    const width = qkv.shape[2] / 3, heads = width / headDim, backend = tape.backend;
    const out = tape.output("attention", [1, 1, width], [qkv]);
    const [q, newKey, newValue] = [0, 1, 2].map((i) => subspan(qkv.span, i * width, width));
    const logSumExp = tape.scratch("attention log-sum-exp", heads);
    const sizes = { batch: 1, heads, queries: 1, headDim, scale: 1 / Math.sqrt(headDim), causal: true };
    const strides = { ldQ: width, ldK: width, ldV: width, ldOut: width };
    const tight = { strideQ: width, strideK: 0, strideV: 0, strideOut: width };
    const args = {
      ...sizes,
      ...strides,
      ...tight,
      q,
      k: this.#keys,
      v: this.#values,
      out: out.span,
      logSumExp,
    };
    return tape.record({
      name: "attention",
      inputs: [qkv],
      output: out,
      forward: () => {
        backend.copy(newKey, subspan(this.#keys, this.length * width, width));
        backend.copy(newValue, subspan(this.#values, this.length * width, width));
        backend.attention({ ...args, keys: this.length + 1, queryOffset: this.length });
      },
      lower: (lowering) => lowering.attend(lowering.valueOf(qkv), headDim),
    });
  };
}
