import type {
  AttentionArgs,
  AttentionBackwardArgs,
  MergeAttentionArgs,
} from "../arguments/product_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";
import type { Kernels } from "./builder.ts";
import { AttentionBackward } from "./attention_backward.ts";
import { eachBlock, headOf, multiply, scoresStride, workspaceLength } from "./attention_blocks.ts";
import type { Matmul } from "./matmul.ts";

/**
 * Fused attention: for each head, blocks of queries go through scores, softmax and the weighted sum while
 * they are in cache. No T x T tensor exists: the workspace holds BLOCK_QUERIES rows of scores, and the backward
 * pass computes them again from q, k and the log-sum-exp of each row. (Where sums over queries are trees, a small T x T
 * tensor of one head is the faster way.)
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
  readonly #backward: AttentionBackward;
  #scores: Span | undefined;

  constructor(heap: DeviceHeap, kernels: Kernels, matmul: Matmul) {
    this.#heap = heap;
    this.#kernels = kernels;
    this.#matmul = matmul;
    this.#backward = new AttentionBackward(kernels, matmul);
  }

  /** Takes the workspace of a call with these arguments. */
  reserve(args: AttentionArgs): void {
    this.#reserve(args);
  }

  /** `out = softmax(scale q k^T) v` and the log-sum-exp of each row. */
  forward(args: AttentionArgs): void {
    const ld = scoresStride(args), scores = this.#reserve(args), kernels = this.#kernels, { headDim } = args;
    for (let i = 0; i < args.batch * args.heads; i++) {
      const head = headOf(args, Math.floor(i / args.heads), i % args.heads);
      eachBlock(args, (first, rows, keys, visible) => {
        const q = head.q + 4 * first * args.ldQ;
        multiply(this.#matmul, "nt", rows, keys, headDim, q, args.ldQ, head.k, args.ldK, scores, ld);
        const lse = head.lse + 4 * first;
        if (head.firstKeys === 0) kernels.causalSoftmax(scores, 4 * ld, rows, keys, visible, args.scale, lse);
        else {
          const firstKeys = head.firstKeys + 4 * first;
          kernels.windowSoftmax(scores, 4 * ld, rows, keys, visible, args.scale, lse, firstKeys);
        }
        const out = head.out + 4 * first * args.ldOut;
        multiply(this.#matmul, "nn", rows, headDim, keys, scores, ld, head.v, args.ldV, out, args.ldOut);
      });
    }
  }

  /** Gradients of q, k and v. */
  backward(args: AttentionBackwardArgs): void {
    this.#backward.run(args, this.#reserve(args));
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

  /** Address of the workspace. */
  #reserve(args: AttentionArgs): number {
    const length = workspaceLength(args);
    if (this.#scores === undefined || this.#scores.length < length) {
      if (this.#scores !== undefined) this.#heap.free(this.#scores);
      this.#scores = this.#heap.allocate("scores of attention", length, "workspace");
    }
    return this.#scores.byteOffset;
  }
}
