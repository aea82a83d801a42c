/**
 * Arguments of operations on rows that ids or trees steer: losses, tables and column sums. Rows are tight; other kernels of
 * rows are in `rows/`.
 *
 * @module
 */
import type { WeightFormat } from "../weights/formats.ts";
import type { Span } from "../memory/span.ts";
import type { SumTree } from "./sum_tree.ts";

/**
 * `losses[r] = log(sum exp logits[r]) - logits[r][targets[r]]`, and, if `dLogits` is given (it may be `logits`),
 * `dLogits[r] = (softmax(logits[r]) - onehot(targets[r])) * scale`. A negative target masks its row: loss 0,
 * gradient 0.
 */
export interface CrossEntropyArgs {
  /** Number of predictions. */
  readonly rows: number;
  /** Classes of each. */
  readonly cols: number;
  /** [rows, cols]: scores before the softmax. */
  readonly logits: Span;
  /** i32 [rows]. */
  readonly targets: Span;
  /** [rows], in nats. */
  readonly losses: Span;
  /** [rows, cols], overwritten. */
  readonly dLogits?: Span;
  /** What each row counts for in the mean of a step. */
  readonly scale: number;
}

/**
 * `out[r] = table[ids[r]]`, or `+=` with `accumulate`. A negative id masks its row: it becomes -0, which changes nothing
 * that it is added to, or nothing is added.
 */
export interface GatherArgs {
  /** Rows to fetch. */
  readonly rows: number;
  /** Elements of a row. */
  readonly cols: number;
  /** i32 [rows]. */
  readonly ids: Span;
  /** [number of rows of the table, cols]. */
  readonly table: Span;
  /** The table is in panels of that format; by default rows of f32. */
  readonly packedTable?: WeightFormat;
  /** [rows, cols]. */
  readonly out: Span;
  /** `out += ...`; by default it is overwritten. */
  readonly accumulate?: boolean;
}

/**
 * `table[ids[r]] += x[r]`, rows in order; rows with a negative id are left out. With `tree`, the rows of an id that the
 * tree names are summed in its order (a partial sum without such rows is left out), and that sum is added once.
 */
export interface ScatterAddArgs {
  /** Rows to add. */
  readonly rows: number;
  /** Elements of a row. */
  readonly cols: number;
  /** i32 [rows]; one id may occur many times. */
  readonly ids: Span;
  /** [rows, cols]. */
  readonly x: Span;
  /** [number of rows of the table, cols]. */
  readonly table: Span;
  /** Over rows, each of which it names once at most; at most 32 merges above a leaf. */
  readonly tree?: SumTree;
}

/** `out[r][c] = x[r][c] + bias[c]`; `out` may be `x`. */
export interface AddBiasArgs {
  /** Rows that get the same bias. */
  readonly rows: number;
  /** Elements of a row. */
  readonly cols: number;
  /** [rows, cols]. */
  readonly x: Span;
  /** [cols]. */
  readonly bias: Span;
  /** [rows, cols]. */
  readonly out: Span;
}

/**
 * `out[c] = sum over r of x[r][c]`, rows in order, or `+=` with `accumulate`. With `units`, `out[u][c]` is the sum over
 * the rows of run u.
 */
export interface SumRowsArgs {
  /** Terms of each sum. */
  readonly rows: number;
  /** Number of sums. */
  readonly cols: number;
  /** [rows, cols]. */
  readonly x: Span;
  /** [cols], or [units, cols]. */
  readonly out: Span;
  /** Adds the rows to what `out` holds; by default to 0. */
  readonly accumulate?: boolean;
  /** Rows are that many equal runs, each with sums of its own. */
  readonly units?: number;
}

/** `out[c] += sum over r of x[r][c]`, in the order of a tree. */
export interface FoldRowsArgs {
  /** Number of sums. */
  readonly cols: number;
  /** [rows, cols]; overwritten: partial sums live in it. */
  readonly x: Span;
  /** [cols]. */
  readonly out: Span;
  /** Over the rows of x, each of which it names once at most. */
  readonly tree: SumTree;
}

/**
 * Turns pairs of elements of every head: with a = x[i] and b = x[i + headDim / 2] of a head, and the row's angle i,
 * `out[i] = a cos - b sin`, `out[i + headDim / 2] = b cos + a sin`. The gradient is the same turn back.
 *
 * Source: Su et al., RoFormer, 2021, equation 34; pairs are half a head apart, as in GPT-NeoX and Llama.
 */
export interface RotaryArgs {
  /** Number of rows. */
  readonly rows: number;
  /** Heads side by side in a row. */
  readonly heads: number;
  /** Elements of a head: even. */
  readonly headDim: number;
  /** [rows, heads * headDim]. */
  readonly x: Span;
  /** f32 [rows, headDim]: the cosines of headDim / 2 angles, then their sines. */
  readonly angles: Span;
  /** [rows, heads * headDim]; may be `x`. */
  readonly out: Span;
  /** Turns by the negative angles. */
  readonly isBack?: boolean;
}
