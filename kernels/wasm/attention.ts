import type { AttentionArgs, AttentionBackwardArgs, MergeAttentionArgs } from "../backend.ts";
import type { DeviceHeap } from "../heap.ts";
import type { Span } from "../span.ts";
import type { Kernels } from "./builder.ts";
import { emptyProduct, type Matmul, type Product } from "./matmul.ts";

/** Queries per block: a multiple of the GEMM tile's 6 rows; fewer waste work above the diagonal, more pack less. */
const BLOCK_QUERIES = 48;

/** Byte addresses of one head of one sample. */
interface Head {
  q: number;
  k: number;
  v: number;
  out: number;
  lse: number;
}

/**
 * Fused attention: for each head, blocks of queries go through scores, softmax and the weighted sum while
 * they are in cache. No T x T tensor exists: the workspace holds BLOCK_QUERIES rows of scores, and the backward
 * pass computes them again from q, k and the log-sum-exp of each row.
 *
 * Cost (causal, per head): forward 2 T^2 d, backward 5 T^2 d operations; workspace 2 * BLOCK_QUERIES * T floats.
 *
 * Source: Dao et al., FlashAttention, NeurIPS 2022, algorithm 4 for the backward pass; rows are not split, so
 * no running maximum is needed.
 */
export class Attention {
  readonly #heap: DeviceHeap;
  readonly #kernels: Kernels;
  readonly #matmul: Matmul;
  readonly #product: Product = emptyProduct();
  #scores: Span | undefined;

  constructor(heap: DeviceHeap, kernels: Kernels, matmul: Matmul) {
    this.#heap = heap;
    this.#kernels = kernels;
    this.#matmul = matmul;
  }

  /** Takes the workspace of a call with these arguments. */
  reserve(args: AttentionArgs): void {
    this.#reserve(scoresStride(args));
  }

  /** `out = softmax(scale q k^T) v` and the log-sum-exp of each row. */
  forward(args: AttentionArgs): void {
    const ld = scoresStride(args), scores = this.#reserve(ld), kernels = this.#kernels;
    this.#eachHead(args, (head) => {
      this.#eachBlock(args, (first, rows, keys, visible) => {
        this.#multiply(
          rows,
          keys,
          args.headDim,
          head.q + 4 * first * args.ldQ,
          args.ldQ,
          head.k,
          args.ldK,
          scores,
          ld,
          "nt",
        );
        kernels.causalSoftmax(scores, 4 * ld, rows, keys, visible, args.scale, head.lse + 4 * first);
        const out = head.out + 4 * first * args.ldOut;
        this.#multiply(rows, args.headDim, keys, scores, ld, head.v, args.ldV, out, args.ldOut, "nn");
      });
    });
  }

  /** Gradients of q, k and v. */
  backward(args: AttentionBackwardArgs): void {
    const ld = scoresStride(args), { headDim, accumulate = false } = args, kernels = this.#kernels;
    const p = this.#reserve(ld), dP = p + 4 * ld * BLOCK_QUERIES, delta = dP + 4 * ld * BLOCK_QUERIES;
    this.#eachHead(args, (head, b, h) => {
      const dOut = args.dOut.byteOffset + 4 * (b * args.strideOut + h * headDim);
      const dQ = args.dQ.byteOffset + 4 * (b * args.strideQ + h * headDim);
      const dK = args.dK.byteOffset + 4 * (b * args.strideK + h * headDim);
      const dV = args.dV.byteOffset + 4 * (b * args.strideV + h * headDim);
      if (!accumulate) {
        kernels.zeroBlock(dK, 4 * args.ldK, args.keys, headDim);
        kernels.zeroBlock(dV, 4 * args.ldV, args.keys, headDim);
      }
      this.#eachBlock(args, (first, rows, keys, visible) => {
        const q = head.q + 4 * first * args.ldQ, dO = dOut + 4 * first * args.ldOut;
        kernels.rowDots(
          dO,
          4 * args.ldOut,
          head.out + 4 * first * args.ldOut,
          4 * args.ldOut,
          rows,
          headDim,
          delta,
        );
        this.#multiply(rows, keys, headDim, q, args.ldQ, head.k, args.ldK, p, ld, "nt");
        this.#multiply(rows, keys, headDim, dO, args.ldOut, head.v, args.ldV, dP, ld, "nt");
        const lse = head.lse + 4 * first;
        kernels.causalSoftmaxGradient(p, dP, 4 * ld, rows, keys, visible, args.scale, lse, delta);
        this.#multiply(keys, headDim, rows, p, ld, dO, args.ldOut, dV, args.ldV, "tn", true);
        this.#multiply(
          rows,
          headDim,
          keys,
          dP,
          ld,
          head.k,
          args.ldK,
          dQ + 4 * first * args.ldQ,
          args.ldQ,
          "nn",
          accumulate,
        );
        this.#multiply(keys, headDim, rows, dP, ld, q, args.ldQ, dK, args.ldK, "tn", true);
      });
    });
  }

  /** Weighted sums of both parts, row by row. */
  merge(args: MergeAttentionArgs): void {
    const { batch, heads, queries, headDim, strideLogSumExp = queries } = args, width = heads * headDim;
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < heads; h++) {
        const head = b * heads + h;
        this.#kernels.mergeRows(
          args.out.byteOffset + 4 * (b * args.strideOut + h * headDim),
          4 * args.ldOut,
          args.part.byteOffset + 4 * (b * queries * width + h * headDim),
          4 * width,
          queries,
          headDim,
          args.logSumExp.byteOffset + 4 * head * strideLogSumExp,
          args.partLogSumExp.byteOffset + 4 * head * queries,
        );
      }
    }
  }

  /** Address of the workspace: two blocks of scores and one row of dots. */
  #reserve(ld: number): number {
    const length = 2 * ld * BLOCK_QUERIES + BLOCK_QUERIES;
    if (this.#scores === undefined || this.#scores.length < length) {
      if (this.#scores !== undefined) this.#heap.free(this.#scores);
      this.#scores = this.#heap.allocate("scores of attention", length, "workspace");
    }
    return this.#scores.byteOffset;
  }

  #eachHead(args: AttentionArgs, visit: (head: Head, b: number, h: number) => void): void {
    const strideLogSumExp = args.strideLogSumExp ?? args.queries;
    for (let b = 0; b < args.batch; b++) {
      for (let h = 0; h < args.heads; h++) {
        const shift = h * args.headDim;
        visit(
          {
            q: args.q.byteOffset + 4 * (b * args.strideQ + shift),
            k: args.k.byteOffset + 4 * (b * args.strideK + shift),
            v: args.v.byteOffset + 4 * (b * args.strideV + shift),
            out: args.out.byteOffset + 4 * (b * args.strideOut + shift),
            lse: args.logSumExp.byteOffset + 4 * (b * args.heads + h) * strideLogSumExp,
          },
          b,
          h,
        );
      }
    }
  }

  /** Blocks of queries with the number of keys any of them sees, and how many the first of them sees. */
  #eachBlock(
    args: AttentionArgs,
    visit: (first: number, rows: number, keys: number, visible: number) => void,
  ): void {
    for (let first = 0; first < args.queries; first += BLOCK_QUERIES) {
      const rows = Math.min(BLOCK_QUERIES, args.queries - first);
      const visible = args.causal ? first + (args.queryOffset ?? 0) + 1 : args.keys;
      visit(first, rows, Math.min(args.keys, visible + rows - 1), visible);
    }
  }

  /** C (+)= op(A) op(B); `form` says which is transposed, A first. */
  #multiply(
    m: number,
    n: number,
    k: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    c: number,
    ldc: number,
    form: "nn" | "nt" | "tn",
    accumulate = false,
  ): void {
    const p = this.#product;
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
    this.#matmul.multiply(p);
  }
}

/** Row length of the score blocks: whole vectors, so that rows start aligned. */
function scoresStride(args: AttentionArgs): number {
  return Math.ceil(args.keys / 16) * 16;
}
