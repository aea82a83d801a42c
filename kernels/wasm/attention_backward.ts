import type { AttentionBackwardArgs } from "../arguments/product_arguments.ts";
import { groupSize } from "../arguments/head_groups.ts";
import { bisectionMerges, rowTree, type SumTree } from "../arguments/sum_tree.ts";
import {
  BLOCK_QUERIES,
  eachBlock,
  eachBlockOfRun,
  type Head,
  headOf,
  keepsAllScores,
  multiply,
  scoresStride,
} from "./attention_blocks.ts";
import type { Kernels } from "./builder.ts";
import type { Matmul } from "./matmul.ts";

/** Workspace of a call. All are byte addresses, ld in elements. */
interface Workspace {
  /** Probabilities, then gradients of scores: rows of `ld` floats. */
  p: number;
  dP: number;
  ld: number;
  delta: number;
  /** Behind all these. */
  rest: number;
}

/** One head of one sample, with its gradients and the workspace. */
interface BackwardHead extends Head, Workspace {
  dOut: number;
  dQ: number;
  /** Of the head of k and v that it reads. */
  dK: number;
  dV: number;
}

/**
 * The backward pass of attention. Sums over queries are chains, or, with `queryRuns`, trees over pairs of runs: of a
 * small head all scores are kept, and dK and dV are one product each; of a large one they are added up run by run. A
 * chain goes through all heads that read the same keys, one after the other, so that it has the same terms in the same
 * order on every device that holds them.
 */
export class AttentionBackward {
  readonly #kernels: Kernels;
  readonly #matmul: Matmul;
  /** Trees over runs, by their number and size. */
  readonly #trees = new Map<number, SumTree>();

  constructor(kernels: Kernels, matmul: Matmul) {
    this.#kernels = kernels;
    this.#matmul = matmul;
  }

  /** Gradients of q, k and v; `workspace` has `workspaceLength` floats. */
  run(args: AttentionBackwardArgs, workspace: number): void {
    const ld = scoresStride(args), { batch, heads, queryRuns } = args, size = groupSize(args);
    const rows = keepsAllScores(args) ? Math.max(args.queries, BLOCK_QUERIES) : BLOCK_QUERIES;
    const p = workspace, dP = p + 4 * ld * rows, delta = dP + 4 * ld * rows, rest = delta + 4 * BLOCK_QUERIES;
    const space = { p, dP, ld, delta, rest };
    for (let first = 0; first < batch * heads; first += size) {
      const b = Math.floor(first / heads), h = first % heads;
      const group: BackwardHead[] = [];
      for (let i = 0; i < size; i++) group.push(backwardHeadOf(args, b, h + i, space));
      if (keepsAllScores(args)) this.#sumAtOnce(args, group[0]);
      else if (queryRuns !== undefined) this.#sumByRuns(args, group);
      else this.#sumInOrder(args, group);
    }
  }

  /** dK and dV as one chain over the queries of one head after the other. */
  #sumInOrder(args: AttentionBackwardArgs, group: readonly BackwardHead[]): void {
    const { headDim, keys, ldK, ldV } = args, [{ dK, dV }] = group;
    if (!args.accumulate) {
      this.#kernels.zeroBlock(dK, 4 * ldK, keys, headDim);
      this.#kernels.zeroBlock(dV, 4 * ldV, keys, headDim);
    }
    for (const head of group) {
      eachBlock(args, (first, rows, keys, visible) => {
        this.#block(args, head, { first, rows, keys, visible });
        this.#addKeys(args, head, { first, rows, keys, dV, ldV, dK, ldK });
      });
    }
  }

  /** dK and dV as products over all queries. */
  #sumAtOnce(args: AttentionBackwardArgs, head: BackwardHead): void {
    const { queries, keys, headDim, accumulate } = args, { ld } = head, tree = this.#treeOf(args);
    eachBlock(args, (first, rows, _, visible) => {
      const shift = 4 * first * ld;
      // To the last key: what a query does not see is 0 in the products over all queries.
      this.#block(args, { ...head, p: head.p + shift, dP: head.dP + shift }, { first, rows, keys, visible });
    });
    const sum = (a: number, b: number, ldb: number, c: number, ldc: number) =>
      multiply(this.#matmul, "tn", keys, headDim, queries, a, ld, b, ldb, c, ldc, accumulate, tree);
    sum(head.p, head.dOut, args.ldOut, head.dV, args.ldV);
    sum(head.dP, head.q, args.ldQ, head.dK, args.ldK);
  }

  /** dK and dV as sums of blocks: a chain over each pair of runs of all heads, and a tree over the pairs. */
  #sumByRuns(args: AttentionBackwardArgs, group: readonly BackwardHead[]): void {
    const { queries, keys, headDim } = args,
      runs = args.queryRuns!,
      size = queries / runs.length,
      [to] = group;
    const kernels = this.#kernels, bytes = 4 * keys * headDim, ldV = headDim, ldK = headDim;
    let dV = to.rest - 2 * bytes;
    bisectionMerges(Math.max(1, runs.length / 2)).forEach((merges, pair) => {
      dV += 2 * bytes;
      kernels.zeroBlock(dV, 2 * bytes, 1, 2 * keys * headDim);
      for (const head of group) {
        for (const run of new Set([pair, runs.length - 1 - pair])) {
          eachBlockOfRun(args, run * size, (run + 1) * size, runs[run], (first, rows, keys, visible) => {
            this.#block(args, head, { first, rows, keys, visible });
            this.#addKeys(args, head, { first, rows, keys, dV, ldV, dK: dV + bytes, ldK });
          });
        }
      }
      for (let i = 0; i < merges; i++) {
        dV -= 2 * bytes;
        kernels.addBlock(dV, 0, dV + 2 * bytes, 0, 1, 2 * keys * headDim);
      }
    });
    if (!args.accumulate) {
      kernels.zeroBlock(to.dV, 4 * args.ldV, keys, headDim);
      kernels.zeroBlock(to.dK, 4 * args.ldK, keys, headDim);
    }
    kernels.addBlock(to.dV, 4 * args.ldV, dV, 4 * ldV, keys, headDim);
    kernels.addBlock(to.dK, 4 * args.ldK, dV + bytes, 4 * ldK, keys, headDim);
  }

  /** Probabilities and gradients of the scores of a block of queries, and dQ. */
  #block(
    args: AttentionBackwardArgs,
    { q: qs, k, v, out, lse: lses, firstKeys, dOut, dQ, p, dP, ld, delta }: BackwardHead,
    { first, rows, keys, visible }: { first: number; rows: number; keys: number; visible: number },
  ): void {
    const { headDim, ldQ, ldK, ldV, ldOut, scale, accumulate } = args,
      kernels = this.#kernels,
      matmul = this.#matmul;
    const q = qs + 4 * first * ldQ, dO = dOut + 4 * first * ldOut;
    kernels.rowDots(dO, 4 * ldOut, out + 4 * first * ldOut, 4 * ldOut, rows, headDim, delta);
    multiply(matmul, "nt", rows, keys, headDim, q, ldQ, k, ldK, p, ld);
    multiply(matmul, "nt", rows, keys, headDim, dO, ldOut, v, ldV, dP, ld);
    const lse = lses + 4 * first, starts = firstKeys + 4 * first;
    if (firstKeys === 0) kernels.causalSoftmaxGradient(p, dP, 4 * ld, rows, keys, visible, scale, lse, delta);
    else kernels.windowSoftmaxGradient(p, dP, 4 * ld, rows, keys, visible, scale, lse, delta, starts);
    multiply(matmul, "nn", rows, headDim, keys, dP, ld, k, ldK, dQ + 4 * first * ldQ, ldQ, accumulate);
  }

  /** Adds what a block of queries gives to dV and dK. */
  #addKeys(
    { headDim, ldQ, ldOut }: AttentionBackwardArgs,
    { q, dOut, p, dP, ld }: BackwardHead,
    to: { first: number; rows: number; keys: number; dV: number; ldV: number; dK: number; ldK: number },
  ): void {
    const { first, rows, keys, dV, ldV, dK, ldK } = to, matmul = this.#matmul;
    multiply(matmul, "tn", keys, headDim, rows, p, ld, dOut + 4 * first * ldOut, ldOut, dV, ldV, true);
    multiply(matmul, "tn", keys, headDim, rows, dP, ld, q + 4 * first * ldQ, ldQ, dK, ldK, true);
  }

  #treeOf({ queries, queryRuns }: AttentionBackwardArgs): SumTree {
    const units = queryRuns!.length, key = queries * 16 + units, known = this.#trees.get(key);
    if (known !== undefined) return known;
    const tree = rowTree({ sequences: 1, units, unitRows: queries / units });
    this.#trees.set(key, tree);
    return tree;
  }
}

function backwardHeadOf(
  args: AttentionBackwardArgs,
  b: number,
  h: number,
  workspace: Workspace,
): BackwardHead {
  const ofQueries = h * args.headDim, ofKeys = Math.floor(h / groupSize(args)) * args.headDim;
  const { q, k, v, out, lse, firstKeys } = headOf(args, b, h), { p, dP, ld, delta, rest } = workspace;
  // Named one by one: spreading objects costs a microsecond, which small heads notice.
  return {
    q,
    k,
    v,
    out,
    lse,
    firstKeys,
    p,
    dP,
    ld,
    delta,
    rest,
    dOut: args.dOut.byteOffset + 4 * (b * args.strideOut + ofQueries),
    dQ: args.dQ.byteOffset + 4 * (b * args.strideQ + ofQueries),
    dK: args.dK.byteOffset + 4 * (b * args.strideK + ofKeys),
    dV: args.dV.byteOffset + 4 * (b * args.strideV + ofKeys),
  };
}
