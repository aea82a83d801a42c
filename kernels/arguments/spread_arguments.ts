/**
 * Arguments of the parts of a cross-entropy whose classes lie on several devices.
 *
 * @module
 */
import type { Span } from "../memory/span.ts";

/** `out[r] = largest of x[r]`; NaN is left out, and -Infinity the largest of no columns. */
export interface RowMaxArgs {
  /** Number of rows. */
  readonly rows: number;
  /** Elements of each. */
  readonly cols: number;
  /** [rows, cols]. */
  readonly x: Span;
  /** [rows]. */
  readonly out: Span;
}

/**
 * `sums[r] = sum of exp(x[r] - max[r])`, and, if `powers` is given (it may be `x`), the terms of that sum. With `chunks`,
 * a row's sum is the tree of `bisectionMerges` over the sums of its equal chunks, each that of a row of its length.
 */
export interface RowExpSumArgs {
  /** Number of rows. */
  readonly rows: number;
  /** Elements of each. */
  readonly cols: number;
  /** [rows, cols]. */
  readonly x: Span;
  /** [rows]: of the whole row, of which x may be a part. */
  readonly max: Span;
  /** [rows]. */
  readonly sums: Span;
  /** [rows, cols], overwritten. */
  readonly powers?: Span;
  /** 1, 2 or 4: into how many equal chunks of columns a row is divided; by default 1. */
  readonly chunks?: number;
}

/**
 * The end of a cross-entropy whose classes lie on several devices, of which this one has `cols` from `firstClass` on:
 * `losses[r] = max[r] - chosen[r] + log(sums[r])`, and, if `powers` is given,
 * `powers[r] = (powers[r] / sums[r] - onehot(targets[r] - firstClass)) * scale`. A negative target masks its row: loss 0,
 * gradient 0. With all classes on one device the bits are those of `crossEntropy`.
 */
export interface SpreadCrossEntropyArgs {
  /** Number of predictions. */
  readonly rows: number;
  /** Classes of each on this device. */
  readonly cols: number;
  /** Place of the first of them among all. */
  readonly firstClass: number;
  /** i32 [rows]: classes counted over all devices. */
  readonly targets: Span;
  /** [rows]: largest logit of the whole row. */
  readonly max: Span;
  /** [rows]: sum of the exponentials of the whole row, relative to `max`. */
  readonly sums: Span;
  /** [rows]: logit of the target. */
  readonly chosen: Span;
  /** [rows]. */
  readonly losses: Span;
  /** [rows, cols]: exponentials of this device's classes; replaced by the gradient of their logits. */
  readonly powers?: Span;
  /** What each row counts for in the mean of a step. */
  readonly scale: number;
}
