import type { Group } from "../../collectives/mod.ts";
import { type Backend, type DType, normFromSquares, type Span, squareScale } from "../../kernels/mod.ts";

/** What gradients that lie elsewhere, on a GPU, add to the norm. */
export interface GradientShare {
  /** Largest absolute value. */
  readonly max: number;
  /** Sum of squares. */
  readonly squares: number;
}

/**
 * The L2 norm of gradients that are spread over devices, in bits that do not depend on how: every element is rounded to
 * an integer on a scale that the largest of all sets, and squares of integers are summed without rounding.
 *
 * Cost: two passes over this rank's gradients, and all-reduces of one and of two numbers. See `normFromSquares` for the
 * error.
 */
export class GradientNorm {
  readonly #backend: Backend;
  readonly #gradients: readonly Span[];
  readonly #max: Span;
  readonly #squares: Span;
  readonly #sum: Span;

  /**
   * Allocates the sums.
   *
   * @param gradients Those that this rank answers for: every element of the model is in that of one rank.
   */
  constructor(backend: Backend, gradients: readonly Span[]) {
    const allocate = (what: string, length: number, dtype: DType = "f64") =>
      backend.heap.allocate(`${what} of the gradient norm`, length, "buffers", dtype);
    this.#backend = backend;
    this.#gradients = gradients;
    this.#max = allocate("maximum", 1, "f32");
    this.#squares = allocate("squares", 2);
    this.#sum = allocate("sum", 2);
  }

  /**
   * The norm over all ranks of the group; NaN if an element is infinite or NaN.
   *
   * @param elsewhere Gradients of this rank that are not in its memory.
   */
  compute(group: Group, elsewhere?: GradientShare): number {
    const backend = this.#backend, { heap } = backend;
    let max = elsewhere === undefined ? 0 : orInfinity(elsewhere.max + 0 * elsewhere.squares);
    for (const gradient of this.#gradients) {
      const own = backend.maxAbs(gradient);
      max = Math.max(max, orInfinity(own));
    }
    heap.f32(this.#max)[0] = max;
    group.allReduce(this.#max, { reduction: "max", label: "largest gradient" });
    const scale = squareScale(heap.f32(this.#max)[0]), sum = heap.f64(this.#sum);
    sum.fill(0);
    for (const gradient of this.#gradients) {
      if (Number.isNaN(scale)) break;
      backend.sumSquaresExact(scale, gradient, this.#squares);
      const [high, low] = heap.f64(this.#squares);
      sum[0] += high;
      sum[1] += low;
    }
    if (elsewhere !== undefined && !Number.isNaN(scale)) {
      const steps = Math.round(elsewhere.squares * scale * scale), high = Math.floor(steps / 2 ** 32);
      sum[0] += high;
      sum[1] += steps - high * 2 ** 32;
    }
    group.allReduce(this.#sum, { label: "gradient norm" });
    return Number.isNaN(scale) ? NaN : normFromSquares(sum[0], sum[1], scale);
  }
}

/** Infinity stands for NaN, which a maximum may lose. */
function orInfinity(value: number): number {
  return Number.isNaN(value) ? Infinity : value;
}
