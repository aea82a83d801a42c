import type { DType, Precision, Span } from "../kernels/mod.ts";
import type { ExactSums } from "./exact_sums.ts";
import type { GradientArena } from "./gradients.ts";

/** Which tokens a device holds, and how it adds numbers up. */
export interface TokenPlacement {
  /** Element type of activations and their gradients, by default f32; row statistics and losses are always f32. */
  readonly precision?: Precision;
  /** Place in its sequence of each token of a row of the batch; by default 0, 1, 2, ... */
  readonly positions?: readonly number[];
  /**
   * Units that a row of the batch holds: eighths of a sequence. By default 8; fewer where a device holds a part of each
   * sequence. Experts are chosen within a unit.
   */
  readonly unitsPerRow?: number;
  /** The order of sums over rows, in exact numerics; by default one chain each. */
  readonly exact?: ExactSums;
}

/** Where what a tape makes lives, and for how long. */
export interface TapeMemory {
  /** Weight gradients run apart from input gradients (`backwardInput`, `backwardWeight`): costs memory. */
  readonly deferWeights?: boolean;
  /** Where gradients of activations live; tapes whose backward passes never interleave may share one. */
  readonly arena?: GradientArena;
  /** Gives the memory of activations; by default spans of their own on the heap. */
  readonly allocate?: (name: string, length: number, dtype: DType) => Span;
}
