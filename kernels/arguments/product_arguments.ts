/**
 * Arguments of products, attention, element-wise operations and the optimizer. Arguments of operations on rows are in
 * `row_arguments.ts`.
 *
 * @module
 */
import type { Span } from "../memory/span.ts";
import type { WeightFormat } from "../weights/formats.ts";
import type { SumTree } from "./sum_tree.ts";

/**
 * What a matmul does to each element after its sum over k is complete:
 * - `bias`: `c = sum + bias[column]`,
 * - `gelu`: `u = sum + bias[column]`, `c = gelu(u)`; `u` is kept in `pre` when the backward pass needs it,
 * - `geluGradient`: `c = sum * gelu'(pre)`.
 */
export type Epilogue =
  | { readonly kind: "bias"; readonly bias: Span }
  | { readonly kind: "gelu"; readonly bias: Span; readonly pre?: Span }
  | { readonly kind: "geluGradient"; readonly pre: Span };

/** `C = op(A) op(B)`, for `batch` matrices. Leading dimensions and strides are in elements. */
export interface MatmulArgs {
  /** Rows of C. */
  readonly m: number;
  /** Columns of C. */
  readonly n: number;
  /** Terms of each sum: columns of op(A), rows of op(B). */
  readonly k: number;
  /** [m, k], or [k, m] with `transposeA`. */
  readonly a: Span;
  /** [k, n], or [n, k] with `transposeB`. */
  readonly b: Span;
  /** [m, n]. */
  readonly c: Span;
  /** A is stored [k][m] instead of [m][k]. */
  readonly transposeA?: boolean;
  /** B is stored [n][k] instead of [k][n]. */
  readonly transposeB?: boolean;
  /**
   * B is [n][k] as `packWeight()` has left it (f32), or in panels of another format: not together with `transposeA`, a tree,
   * a batch or `accumulate`.
   */
  readonly packedB?: "f32" | WeightFormat;
  /** Elements from one stored row to the next; by default rows are tight. */
  readonly lda?: number;
  /** The same of B. */
  readonly ldb?: number;
  /** The same of C. */
  readonly ldc?: number;
  /** Number of products; by default 1. */
  readonly batch?: number;
  /** Elements from one matrix of a batch to the next; by default tight, 0 uses the same matrix again. */
  readonly strideA?: number;
  /** The same of B. */
  readonly strideB?: number;
  /** The same of C; never 0 for a batch. */
  readonly strideC?: number;
  /** `C += ...`; not together with an epilogue. */
  readonly accumulate?: boolean;
  /** Order of the sums over k, all of whose terms it names; by default one chain. With `accumulate` C is added last. */
  readonly tree?: SumTree;
  /** `pre` has C's leading dimension and stride. */
  readonly epilogue?: Epilogue;
}

/**
 * Attention of `heads` heads. Row t of head h of sample b of q starts at element `b * strideQ + t * ldQ + h * headDim`;
 * the same holds for k, v and out, so heads are read straight from a fused projection. Head h of q reads head
 * `floor(h / (heads / kvHeads))` of k and v: grouped-query attention, with one such head multi-query attention.
 *
 * Source: Shazeer, Fast Transformer Decoding: One Write-Head is All You Need, 2019; Ainslie et al., GQA: Training
 * Generalized Multi-Query Transformer Models from Multi-Head Checkpoints, EMNLP 2023.
 */
export interface AttentionArgs {
  /** Number of samples. */
  readonly batch: number;
  /** Heads of q and out of each sample. */
  readonly heads: number;
  /** Heads of k and v of each sample: a divisor of `heads`, by default as many. */
  readonly kvHeads?: number;
  /** Rows of q and out per sample. */
  readonly queries: number;
  /** Rows of k and v per sample. */
  readonly keys: number;
  /** Elements of a row of a head. */
  readonly headDim: number;
  /** Queries. */
  readonly q: Span;
  /** Keys. */
  readonly k: Span;
  /** Values. */
  readonly v: Span;
  /** For each query, the mean of the values weighted by the softmax of its scores. */
  readonly out: Span;
  /** Elements from one query of a sample to the next. */
  readonly ldQ: number;
  /** Elements from one key of a sample to the next. */
  readonly ldK: number;
  /** Elements from one value of a sample to the next. */
  readonly ldV: number;
  /** Elements from one result of a sample to the next. */
  readonly ldOut: number;
  /** Elements from the queries of one sample to those of the next. */
  readonly strideQ: number;
  /** Elements from the keys of one sample to those of the next. */
  readonly strideK: number;
  /** Elements from the values of one sample to those of the next. */
  readonly strideV: number;
  /** Elements from the results of one sample to those of the next. */
  readonly strideOut: number;
  /** Usually 1 / sqrt(headDim). */
  readonly scale: number;
  /** Query i sees keys `0 .. i + queryOffset`; without it, all keys. */
  readonly causal: boolean;
  /** Key index of query 0: what a KV cache already holds. By default 0. */
  readonly queryOffset?: number;
  /**
   * Queries are as many equal runs of consecutive tokens; run i begins at key `queryRuns[i]`, ascending. Their number is
   * even, or 1. In the backward pass, dK and dV are then sums over runs in the order of `rowTree`. In place of
   * `queryOffset`.
   */
  readonly queryRuns?: readonly number[];
  /**
   * i32: query t of sample b sees no key before element `b * strideFirstKeys + t`, and none at all if that is behind those
   * that it would see. By default 0: of sliding windows, and of documents that share a row.
   */
  readonly firstKeys?: Span;
  /** Elements from one sample to the next; by default `queries`, 0 if all samples have the same. */
  readonly strideFirstKeys?: number;
  /**
   * Log of the sum of exponentials of each row; the backward pass reads it. Row t of head h of sample b is element
   * `(b * heads + h) * strideLogSumExp + t`.
   */
  readonly logSumExp: Span;
  /** Elements from one head to the next; by default `queries`, more if these are some of the queries only. */
  readonly strideLogSumExp?: number;
}

/**
 * Gradients of {@link AttentionArgs}; dQ, dK and dV lie as q, k and v do. Those of a head of k and v are one chain over
 * the heads of q that read it, ascending; with `queryRuns`, in each leaf of the tree.
 *
 * `k` and `v` may be some of the keys that the queries saw, if `out` and `logSumExp` are those of all of them: what the
 * parts give then adds up to the gradients.
 */
export interface AttentionBackwardArgs extends AttentionArgs {
  /** Gradient of `out`; lies as it does. */
  readonly dOut: Span;
  /** Gradient of the queries. */
  readonly dQ: Span;
  /** Gradient of the keys. */
  readonly dK: Span;
  /** Gradient of the values. */
  readonly dV: Span;
  /** Adds to dQ, dK and dV; by default they are overwritten. */
  readonly accumulate?: boolean;
}

/**
 * Makes attention to two disjoint sets of keys attention to both: with `L = log(exp(l) + exp(m))` of the log-sum-exps l
 * and m, `out = exp(l - L) out + exp(m - L) part` and `logSumExp = L`. A row that sees no key has -Infinity there, and
 * any finite values.
 *
 * Source: Dao et al., FlashAttention, NeurIPS 2022, section 3.1.
 */
export interface MergeAttentionArgs extends
  Pick<
    AttentionArgs,
    | "batch"
    | "heads"
    | "queries"
    | "headDim"
    | "out"
    | "ldOut"
    | "strideOut"
    | "logSumExp"
    | "strideLogSumExp"
  > {
  /** [batch, queries, heads * headDim]: attention to the other keys. */
  readonly part: Span;
  /** [batch * heads * queries]: its log-sum-exps. */
  readonly partLogSumExp: Span;
}

/** Functions of one element; `gelu` is the tanh form (`gelu_new`). */
export type UnaryOp = "gelu" | "geluErf" | "relu" | "tanh" | "exp" | "log" | "square";

/** `out[i] = op(x[i])`; `out` may be `x`. */
export interface UnaryArgs {
  /** What to apply. */
  readonly op: UnaryOp;
  /** All its elements are read. */
  readonly x: Span;
  /** As many elements as `x`. */
  readonly out: Span;
}

/** `dX[i] = dOut[i] * op'(x[i])`, or `+=` with `accumulate`; `dX` may be `dOut`. */
export interface UnaryBackwardArgs {
  /** What the forward pass applied. */
  readonly op: UnaryOp;
  /** Its argument, not its result. */
  readonly x: Span;
  /** Gradient of its result. */
  readonly dOut: Span;
  /** Gradient of `x`. */
  readonly dX: Span;
  /** Adds to `dX`; by default it is overwritten. */
  readonly accumulate?: boolean;
}

/** `out[i] = a[i] op b[i]`; `out` may be `a` or `b`. */
export interface BinaryArgs {
  /** What to do with each pair. */
  readonly op: "add" | "sub" | "mul";
  /** Left operand. */
  readonly a: Span;
  /** Right operand. */
  readonly b: Span;
  /** Its length says how many pairs there are. */
  readonly out: Span;
}

/**
 * One AdamW update in one pass, gradient scaled by `gradientScale` (clipping) first:
 * `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
 * `p -= lr * weightDecay * p + lr * (m / correction1) / (sqrt(v / correction2) + epsilon)`.
 *
 * Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2.
 */
export interface AdamWArgs {
  /** Updated in place; the other spans are as long. */
  readonly parameter: Span;
  /** Of a bf16 parameter: its value as float32, which is updated, then rounded to the parameter. */
  readonly master?: Span;
  /** Read only. */
  readonly gradient: Span;
  /** First moment. */
  readonly m: Span;
  /** Second moment. */
  readonly v: Span;
  /** `lr` of this step. */
  readonly learningRate: number;
  /** Decay of `m`. */
  readonly beta1: number;
  /** Decay of `v`. */
  readonly beta2: number;
  /** Keeps the quotient finite where `v` is 0. */
  readonly epsilon: number;
  /** Share of the parameter that goes per unit of `lr`. */
  readonly weightDecay: number;
  /** `1 - beta1 ^ step`, step from 1. */
  readonly correction1: number;
  /** `1 - beta2 ^ step`. */
  readonly correction2: number;
  /** 1 unless gradients are clipped or were scaled up. */
  readonly gradientScale: number;
}
