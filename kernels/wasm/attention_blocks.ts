/**
 * How attention is cut into pieces that fit the caches: heads, and blocks of queries.
 */
import type { AttentionArgs } from "../arguments/product_arguments.ts";
import { groupSize } from "../arguments/head_groups.ts";
import type { SumTree } from "../arguments/sum_tree.ts";
import type { Matmul } from "./matmul.ts";
import { emptyProduct } from "./product.ts";

/** Queries per block: a multiple of the GEMM tile's 6 rows; fewer waste work above the diagonal, more pack less. */
export const BLOCK_QUERIES = 48;

/** Byte addresses of one head of one sample. */
export interface Head {
  q: number;
  k: number;
  v: number;
  out: number;
  lse: number;
  /** First keys of the queries; 0 if they see all keys before. */
  firstKeys: number;
}

/** Head h of sample b, with the head of k and v that it reads. */
export function headOf(args: AttentionArgs, b: number, h: number): Head {
  const shift = h * args.headDim, ofKeys = Math.floor(h / groupSize(args)) * args.headDim;
  const strideLogSumExp = args.strideLogSumExp ?? args.queries;
  const { firstKeys, strideFirstKeys = args.queries } = args;
  return {
    q: args.q.byteOffset + 4 * (b * args.strideQ + shift),
    k: args.k.byteOffset + 4 * (b * args.strideK + ofKeys),
    v: args.v.byteOffset + 4 * (b * args.strideV + ofKeys),
    out: args.out.byteOffset + 4 * (b * args.strideOut + shift),
    lse: args.logSumExp.byteOffset + 4 * (b * args.heads + h) * strideLogSumExp,
    firstKeys: firstKeys === undefined ? 0 : firstKeys.byteOffset + 4 * b * strideFirstKeys,
  };
}

/** Gets a block of queries, the number of keys any of them sees, and how many the first of them sees. */
export type VisitBlock = (first: number, rows: number, keys: number, visible: number) => void;

/** Visits all queries in blocks. */
export function eachBlock(args: AttentionArgs, visit: VisitBlock): void {
  const { queries, queryRuns, queryOffset = 0 } = args;
  if (queryRuns === undefined) return eachBlockOfRun(args, 0, queries, queryOffset, visit);
  const size = queries / queryRuns.length;
  for (let run = 0, next; run < queryRuns.length; run = next) {
    // Runs that follow one another in the sequence are one.
    for (next = run + 1; next < queryRuns.length; next++) {
      if (queryRuns[next] !== queryRuns[next - 1] + size) break;
    }
    eachBlockOfRun(args, run * size, next * size, queryRuns[run], visit);
  }
}

/** Visits the queries `[start, end)`, the first of which is key `offset`, in blocks. */
export function eachBlockOfRun(
  { causal, keys }: Pick<AttentionArgs, "causal" | "keys">,
  start: number,
  end: number,
  offset: number,
  visit: VisitBlock,
): void {
  for (let first = start; first < end; first += BLOCK_QUERIES) {
    const rows = Math.min(BLOCK_QUERIES, end - first);
    const visible = causal ? first - start + offset + 1 : keys;
    visit(first, rows, Math.min(keys, visible + rows - 1), visible);
  }
}

/** Row length of the score blocks: whole vectors, so that rows start aligned. */
export function scoresStride({ keys }: Pick<AttentionArgs, "keys">): number {
  return Math.ceil(keys / 16) * 16;
}

/** Floats of the largest matrix of scores of a head that is kept as a whole: 128 KiB. */
const WHOLE_SCORES = 2 ** 15;

/**
 * Whether the backward pass keeps the scores of all queries of a head at a time. Not where heads of q share those of k
 * and v: a leaf of their sums is a chain over several heads, whose rows do not lie in one matrix.
 */
export function keepsAllScores(args: AttentionArgs): boolean {
  return args.queryRuns !== undefined && groupSize(args) === 1 &&
    args.queries * scoresStride(args) <= WHOLE_SCORES;
}

/** Partial sums of dK and dV that are open at a time: those of 1, 2 or 4 pairs of runs. */
const OPEN_SUMS = 3;

/**
 * Floats of the workspace of a call: two blocks of scores, a row of dots, and partial sums of dK and dV if they are
 * summed over runs of queries block by block.
 */
export function workspaceLength(args: AttentionArgs): number {
  const rows = keepsAllScores(args) ? Math.max(args.queries, BLOCK_QUERIES) : BLOCK_QUERIES;
  const sums = args.queryRuns === undefined || keepsAllScores(args)
    ? 0
    : 2 * OPEN_SUMS * args.keys * args.headDim;
  return 2 * rows * scoresStride(args) + BLOCK_QUERIES + sums;
}

const product = emptyProduct();

/** C = op(A) op(B), or C += with `accumulate`; `form` says which is transposed, A first. */
export function multiply(
  matmul: Matmul,
  form: "nn" | "nt" | "tn",
  m: number,
  n: number,
  k: number,
  a: number,
  lda: number,
  b: number,
  ldb: number,
  c: number,
  ldc: number,
  accumulate = false,
  tree?: SumTree,
): void {
  const p = product;
  p.m = m;
  p.n = n;
  p.k = k;
  p.a = a;
  p.b = b;
  p.c = c;
  p.lda = lda;
  p.ldb = ldb;
  p.ldc = ldc;
  p.transposeA = form === "tn";
  p.transposeB = form === "nt";
  p.accumulate = accumulate;
  matmul.multiply(p, tree);
}
