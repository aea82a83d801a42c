import type { Backend, DType, Precision, Span } from "../kernels/mod.ts";
import type { ExactSums } from "./exact_sums.ts";
import type { GradientArena } from "./gradients.ts";
import type { Loss } from "./loss.ts";
import type { Recompute } from "./recompute_mode.ts";
import type { Tape } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** How a strategy computes the loss of logits of which this device holds some of the classes. */
export type SpreadCrossEntropy = (tape: Tape, logits: Tensor, targets: Tensor) => Loss | undefined;

/** How a tape recomputes. */
export interface Recomputation {
  /** What is recomputed. */
  readonly mode: Recompute;
  /** Makes the tape of a segment; its activations are in a `SegmentMemory`. */
  readonly makeInner: () => Tape;
}

/** Which part of a run's numbers a device holds, and how it adds them up: what the strategies around a model decide. */
export interface Placement {
  /** Element type of activations and their gradients, by default f32; row statistics and losses are always f32. */
  readonly precision?: Precision;
  /** Place in its sequence of each token of a row of the batch; by default 0, 1, 2, ... */
  readonly positions?: readonly number[];
  /**
   * Units that a row of the batch holds: eighths of a sequence. By default 8; fewer where a device holds a part of each
   * sequence. Experts are chosen within a unit.
   */
  readonly unitsPerRow?: number;
  /** Computes the loss of logits whose classes lie on several devices; undefined for other logits. */
  readonly spreadCrossEntropy?: SpreadCrossEntropy;
  /** The order of sums over rows, in exact numerics; by default one chain each. */
  readonly exact?: ExactSums;
}

/** How a tape is made. */
export interface TapeOptions {
  /** Runs the kernels; tensors live in its heap. */
  readonly backend: Backend;
  /** Records a backward pass; without it outputs need no gradient. */
  readonly training: boolean;
  /** By default whole sequences, all classes, float32. */
  readonly placement?: Placement;
  /** Weight gradients run apart from input gradients (`backwardInput`, `backwardWeight`): costs memory. */
  readonly deferWeights?: boolean;
  /** Where gradients of activations live; tapes whose backward passes never interleave may share one. */
  readonly arena?: GradientArena;
  /** Gives the memory of activations; by default spans of their own on the heap. */
  readonly allocate?: (name: string, length: number, dtype: DType) => Span;
  /** Activations that are computed again instead of kept. */
  readonly recompute?: Recomputation;
}
