/**
 * Checks of kernel arguments, shared by the backends: a span that is too short would let a kernel write into its
 * neighbour. They cost a few comparisons a call.
 */
import type { AttentionArgs, AttentionBackwardArgs, MergeAttentionArgs } from "./product_arguments.ts";
import type {
  CrossEntropyArgs,
  FoldRowsArgs,
  RotaryArgs,
  ScatterAddArgs,
  SumRowsArgs,
} from "./row_arguments.ts";
import type { Span } from "../memory/span.ts";
import type { RowExpSumArgs, SpreadCrossEntropyArgs } from "./spread_arguments.ts";
import { sumSteps } from "./sum_steps.ts";

/** @throws {RangeError} If a span has fewer than `length` elements. */
export function need(operation: string, name: string, span: Span, length: number): void {
  if (span.length >= length) return;
  throw new RangeError(
    `Cannot run ${operation}: ${name} needs ${length} elements, its span has ${span.length}`,
  );
}

/** @throws {RangeError} If a span of the arguments is too short, or units cannot be equal. */
export function checkSumRows({ rows, cols, x, out, units }: SumRowsArgs): void {
  checkUnits("sumRows", rows, units);
  need("sumRows", "x", x, rows * cols);
  need("sumRows", "out", out, (units ?? 1) * cols);
}

/** @throws {RangeError} If a span of the arguments is too short, or heads have no halves. */
export function checkRotary({ rows, heads, headDim, x, angles, out }: RotaryArgs): void {
  if (headDim % 2 !== 0) throw new RangeError(`Cannot run rotary: headDim must be even, it is ${headDim}`);
  need("rotary", "x", x, rows * heads * headDim);
  need("rotary", "angles", angles, rows * headDim);
  need("rotary", "out", out, rows * heads * headDim);
}

/** @throws {RangeError} If a span of the arguments is too short, or the tree is none. */
export function checkFoldRows({ cols, x, out, tree }: FoldRowsArgs): void {
  need("foldRows", "x", x, sumSteps(tree).rows * cols);
  need("foldRows", "out", out, cols);
}

/** @throws {RangeError} If a span of the arguments is too short, or the tree is none over the rows. */
export function checkScatterAdd({ rows, cols, ids, x, tree }: ScatterAddArgs): void {
  need("scatterAdd", "ids", ids, rows);
  need("scatterAdd", "x", x, rows * cols);
  const named = tree === undefined ? 0 : sumSteps(tree).rows;
  if (named > rows) throw new RangeError(`Cannot run scatterAdd: its tree names row ${named - 1} of ${rows}`);
}

/** @throws {RangeError} If the sum of squares could pass 64 bits, or its span is too short. */
export function checkSquares(x: Span, out: Span): void {
  need("sumSquaresExact", "out", out, 2);
  if (x.length <= 2 ** 27) return;
  throw new RangeError(`Cannot run sumSquaresExact: x may have 2^27 elements, its span has ${x.length}`);
}

/** @throws {RangeError} If rows are not that many equal runs. */
export function checkUnits(operation: string, rows: number, units = 1): void {
  if (units >= 1 && rows % units === 0) return;
  throw new RangeError(`Cannot run ${operation}: ${rows} rows are not ${units} equal units`);
}

/** @throws {RangeError} If a span of the arguments is too short. */
export function checkCrossEntropy(args: CrossEntropyArgs): void {
  const { rows, cols } = args;
  need("crossEntropy", "logits", args.logits, rows * cols);
  need("crossEntropy", "targets", args.targets, rows);
  need("crossEntropy", "losses", args.losses, rows);
  if (args.dLogits !== undefined) need("crossEntropy", "dLogits", args.dLogits, rows * cols);
}

/** @throws {RangeError} If a span of the arguments is too short, or chunks cannot be equal. */
export function checkRowExpSum(args: RowExpSumArgs): void {
  const { rows, cols, chunks = 1 } = args;
  if ((chunks !== 1 && chunks !== 2 && chunks !== 4) || cols % chunks !== 0) {
    throw new RangeError(
      `Cannot run rowExpSum: ${cols} columns are not 1, 2 or 4 equal chunks: they are ${chunks}`,
    );
  }
  need("rowExpSum", "x", args.x, rows * cols);
  need("rowExpSum", "max", args.max, rows);
  need("rowExpSum", "sums", args.sums, rows);
  if (args.powers !== undefined) need("rowExpSum", "powers", args.powers, rows * cols);
}

/** @throws {RangeError} If a span of the arguments is too short. */
export function checkSpreadCrossEntropy(args: SpreadCrossEntropyArgs): void {
  const { rows, cols } = args;
  for (const name of ["targets", "max", "sums", "chosen", "losses"] as const) {
    need("spreadCrossEntropy", name, args[name], rows);
  }
  if (args.powers !== undefined) need("spreadCrossEntropy", "powers", args.powers, rows * cols);
}

/** @throws {RangeError} If a span of the arguments is too short, or heads of q cannot share those of k and v evenly. */
export function checkAttention(args: AttentionArgs): void {
  const { queries, keys, heads, kvHeads = heads } = args;
  if (heads % kvHeads !== 0 && heads !== 0) {
    throw new RangeError(
      `Cannot run attention: kvHeads must divide the ${heads} heads of q, it is ${kvHeads}`,
    );
  }
  needHeads(args, "q", args.q, queries, args.ldQ, args.strideQ);
  needHeads(args, "k", args.k, keys, args.ldK, args.strideK, kvHeads);
  needHeads(args, "v", args.v, keys, args.ldV, args.strideV, kvHeads);
  needHeads(args, "out", args.out, queries, args.ldOut, args.strideOut);
  needLogSumExp(args);
  const { firstKeys, strideFirstKeys = queries, batch } = args;
  if (firstKeys === undefined || batch === 0) return;
  need("attention", "firstKeys", firstKeys, (batch - 1) * strideFirstKeys + queries);
}

/** @throws {RangeError} As {@link checkAttention}. */
export function checkAttentionBackward(args: AttentionBackwardArgs): void {
  const { queries, keys, heads, kvHeads = heads } = args;
  checkAttention(args);
  needHeads(args, "dOut", args.dOut, queries, args.ldOut, args.strideOut);
  needHeads(args, "dQ", args.dQ, queries, args.ldQ, args.strideQ);
  needHeads(args, "dK", args.dK, keys, args.ldK, args.strideK, kvHeads);
  needHeads(args, "dV", args.dV, keys, args.ldV, args.strideV, kvHeads);
}

/** @throws {RangeError} If a span of the arguments is too short. */
export function checkMergeAttention(args: MergeAttentionArgs): void {
  const { batch, heads, queries, headDim } = args;
  needHeads(args, "out", args.out, queries, args.ldOut, args.strideOut);
  needLogSumExp(args);
  need("mergeAttention", "part", args.part, batch * queries * heads * headDim);
  need("mergeAttention", "partLogSumExp", args.partLogSumExp, batch * heads * queries);
}

type Heads = Pick<
  AttentionArgs,
  "batch" | "heads" | "queries" | "headDim" | "logSumExp" | "strideLogSumExp"
>;

function needLogSumExp({ batch, heads, queries, logSumExp, strideLogSumExp = queries }: Heads): void {
  if (batch === 0 || heads === 0 || queries === 0) return;
  need("attention", "logSumExp", logSumExp, (batch * heads - 1) * strideLogSumExp + queries);
}

function needHeads(
  args: Heads,
  name: string,
  span: Span,
  rows: number,
  ld: number,
  stride: number,
  heads = args.heads,
): void {
  const width = heads * args.headDim;
  if (args.batch === 0 || rows === 0 || width === 0) return;
  need("attention", name, span, (args.batch - 1) * stride + (rows - 1) * ld + width);
}

/** The error for an id that a table does not have. */
export function badId(operation: string, index: number, id: number, limit: number): RangeError {
  return new RangeError(`Cannot run ${operation}: id ${id} at row ${index} is not below ${limit}`);
}
