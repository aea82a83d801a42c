import { type Backend, bisectionMerges, type Span } from "../../kernels/mod.ts";

/**
 * Sums the gradients of the micro-batches of a step as a binary tree, in exact numerics: `((g0 + g1) + (g2 + g3))`,
 * as one device with the whole batch does, or as many.
 *
 * Cost: log2 of the number of micro-batches times the memory of the gradient, and about two passes over it for each.
 */
export class GradientFold {
  readonly #backend: Backend;
  readonly #merges: readonly number[];
  readonly #partial: readonly Span[];
  #next = 0;
  #open = 0;

  /** Allocates the partial sums of a gradient of `length` elements. */
  constructor(
    backend: Backend,
    { name, length, microBatches }: { name: string; length: number; microBatches: number },
  ) {
    this.#backend = backend;
    this.#merges = bisectionMerges(microBatches);
    this.#partial = Array.from(
      { length: Math.ceil(Math.log2(microBatches)) },
      (_, level) => backend.heap.allocate(`partial sum ${level} of the ${name}`, length, "gradients"),
    );
  }

  /**
   * Takes the gradient of the next micro-batch.
   *
   * @returns Whether it was the last one of the step: `gradient` is then the sum.
   */
  add(gradient: Span): boolean {
    const backend = this.#backend, microBatch = this.#next++;
    for (let merge = 0; merge < this.#merges[microBatch]; merge++) {
      backend.binary({ op: "add", a: this.#partial[--this.#open], b: gradient, out: gradient });
    }
    if (this.#next < this.#merges.length) {
      backend.copy(gradient, this.#partial[this.#open++]);
      return false;
    }
    this.#next = 0;
    return true;
  }
}
