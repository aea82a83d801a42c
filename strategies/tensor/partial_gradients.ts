import type { Group } from "../../collectives/mod.ts";
import { type Backend, type Span, subspan } from "../../kernels/mod.ts";
import type { Parameter } from "../../nn/mod.ts";

/**
 * Sums over the tensor group for the gradients of parameters that every rank holds whole but sees some rows for only
 * (`TensorParallel.partialParameters`): one all-reduce of all of them, through a flat buffer.
 *
 * Cost: 2 (n-1)/n x their bytes per rank, and two copies.
 */
export class PartialGradients {
  readonly #group: Group;
  readonly #backend: Backend;
  readonly #parameters: readonly Parameter[];
  readonly #buffer: Span | undefined;
  readonly #places: readonly Span[];

  /**
   * Allocates the buffer.
   *
   * @param parameters Those whose gradients are partial; the same on every rank, in the same order.
   */
  constructor(group: Group, backend: Backend, parameters: readonly Parameter[]) {
    this.#group = group;
    this.#backend = backend;
    this.#parameters = parameters;
    const length = parameters.reduce((sum, parameter) => sum + parameter.span.length, 0);
    const buffer = length === 0 ? undefined : backend.heap.allocate("partial gradients", length, "buffers");
    let at = 0;
    this.#buffer = buffer;
    this.#places = parameters.map(({ span }) =>
      subspan(buffer!, (at += span.length) - span.length, span.length)
    );
  }

  /** Replaces the gradients by their sums over the group; bits are equal on all ranks. */
  sum(): void {
    if (this.#buffer === undefined) return;
    const backend = this.#backend;
    for (const [i, { gradient }] of this.#parameters.entries()) backend.copy(gradient, this.#places[i]);
    this.#group.allReduce(this.#buffer, { label: "gradients of rows of the tensor group" });
    for (const [i, { gradient }] of this.#parameters.entries()) backend.copy(this.#places[i], gradient);
  }
}
