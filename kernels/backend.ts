import type { DeviceHeap } from "./heap.ts";
import type { Span } from "./span.ts";

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
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Span;
  readonly b: Span;
  readonly c: Span;
  /** A is stored [k][m] instead of [m][k]. */
  readonly transposeA?: boolean;
  /** B is stored [n][k] instead of [k][n]. */
  readonly transposeB?: boolean;
  /** Elements from one stored row to the next; by default rows are tight. */
  readonly lda?: number;
  readonly ldb?: number;
  readonly ldc?: number;
  /** Number of products; by default 1. */
  readonly batch?: number;
  /** Elements from one matrix of a batch to the next; by default tight, 0 uses the same matrix again. */
  readonly strideA?: number;
  readonly strideB?: number;
  readonly strideC?: number;
  /** `C += ...`; not together with an epilogue. */
  readonly accumulate?: boolean;
  /** `pre` has C's leading dimension and stride. */
  readonly epilogue?: Epilogue;
}

/**
 * Attention of `heads` heads. Row t of head h of sample b of q starts at element `b * strideQ + t * ldQ + h * headDim`;
 * the same holds for k, v and out, so heads are read straight from a fused [B, T, 3C] projection.
 */
export interface AttentionArgs {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headDim: number;
  readonly q: Span;
  readonly k: Span;
  readonly v: Span;
  readonly out: Span;
  readonly ldQ: number;
  readonly ldK: number;
  readonly ldV: number;
  readonly ldOut: number;
  readonly strideQ: number;
  readonly strideK: number;
  readonly strideV: number;
  readonly strideOut: number;
  /** Usually 1 / sqrt(headDim). */
  readonly scale: number;
  /** Query i sees keys `0 .. i + queryOffset`; without it, all keys. */
  readonly causal: boolean;
  /** Key index of query 0: what a KV cache already holds. By default 0. */
  readonly queryOffset?: number;
  /** [batch * heads * queries]: log of the sum of exponentials of each row; the backward pass reads it. */
  readonly logSumExp: Span;
}

/** Gradients of {@link AttentionArgs}; dQ, dK and dV lie as q, k and v do and are overwritten. */
export interface AttentionBackwardArgs extends AttentionArgs {
  readonly dOut: Span;
  readonly dQ: Span;
  readonly dK: Span;
  readonly dV: Span;
}

/** `out = (x - mean) * rstd * gamma + beta` for each row; mean and rstd [rows] are kept for the backward pass. */
export interface LayerNormArgs {
  readonly rows: number;
  readonly cols: number;
  readonly x: Span;
  readonly gamma: Span;
  readonly beta: Span;
  readonly out: Span;
  readonly mean: Span;
  readonly rstd: Span;
  readonly epsilon: number;
}

/** dGamma and dBeta are added to (rows in order); dX is overwritten, or added to with `accumulate`. */
export interface LayerNormBackwardArgs {
  readonly rows: number;
  readonly cols: number;
  readonly x: Span;
  readonly gamma: Span;
  readonly mean: Span;
  readonly rstd: Span;
  readonly dOut: Span;
  readonly dX: Span;
  readonly dGamma: Span;
  readonly dBeta: Span;
  readonly accumulate?: boolean;
}

/** Row-wise softmax; `out` may be `x`. */
export interface SoftmaxArgs {
  readonly rows: number;
  readonly cols: number;
  readonly x: Span;
  readonly out: Span;
}

/** `dX = out * (dOut - sum(out * dOut))` for each row; `dX` may be `dOut`. */
export interface SoftmaxBackwardArgs {
  readonly rows: number;
  readonly cols: number;
  readonly out: Span;
  readonly dOut: Span;
  readonly dX: Span;
}

/**
 * `losses[r] = log(sum exp logits[r]) - logits[r][targets[r]]`, and, if `dLogits` is given (it may be `logits`),
 * `dLogits[r] = (softmax(logits[r]) - onehot(targets[r])) * scale`. A negative target masks its row: loss 0,
 * gradient 0.
 */
export interface CrossEntropyArgs {
  readonly rows: number;
  readonly cols: number;
  readonly logits: Span;
  /** i32 [rows]. */
  readonly targets: Span;
  readonly losses: Span;
  readonly dLogits?: Span;
  readonly scale: number;
}

/** `out[r] = table[ids[r]]`, or `+=` with `accumulate`. */
export interface GatherArgs {
  readonly rows: number;
  readonly cols: number;
  /** i32 [rows]. */
  readonly ids: Span;
  readonly table: Span;
  readonly out: Span;
  readonly accumulate?: boolean;
}

/** `table[ids[r]] += x[r]`, rows in order. */
export interface ScatterAddArgs {
  readonly rows: number;
  readonly cols: number;
  readonly ids: Span;
  readonly x: Span;
  readonly table: Span;
}

/** Functions of one element; `gelu` is the tanh form (`gelu_new`). */
export type UnaryOp = "gelu" | "relu" | "tanh" | "exp" | "log" | "square";

/** `out[i] = op(x[i])`; `out` may be `x`. */
export interface UnaryArgs {
  readonly op: UnaryOp;
  readonly x: Span;
  readonly out: Span;
}

/** `dX[i] = dOut[i] * op'(x[i])`, or `+=` with `accumulate`; `dX` may be `dOut`. */
export interface UnaryBackwardArgs {
  readonly op: UnaryOp;
  readonly x: Span;
  readonly dOut: Span;
  readonly dX: Span;
  readonly accumulate?: boolean;
}

/** `out[i] = a[i] op b[i]`; `out` may be `a` or `b`. */
export interface BinaryArgs {
  readonly op: "add" | "sub" | "mul";
  readonly a: Span;
  readonly b: Span;
  readonly out: Span;
}

/** `out[r][c] = x[r][c] + bias[c]`; `out` may be `x`. */
export interface AddBiasArgs {
  readonly rows: number;
  readonly cols: number;
  readonly x: Span;
  readonly bias: Span;
  readonly out: Span;
}

/** `out[c] = sum over r of x[r][c]`, rows in order, or `+=` with `accumulate`. */
export interface SumRowsArgs {
  readonly rows: number;
  readonly cols: number;
  readonly x: Span;
  readonly out: Span;
  readonly accumulate?: boolean;
}

/**
 * One AdamW update in one pass, gradient scaled by `gradientScale` (clipping) first:
 * `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
 * `p -= lr * weightDecay * p + lr * (m / correction1) / (sqrt(v / correction2) + epsilon)`.
 *
 * Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2.
 */
export interface AdamWArgs {
  readonly parameter: Span;
  readonly gradient: Span;
  /** First moment. */
  readonly m: Span;
  /** Second moment. */
  readonly v: Span;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** `1 - beta1 ^ step`, step from 1. */
  readonly correction1: number;
  /** `1 - beta2 ^ step`. */
  readonly correction2: number;
  readonly gradientScale: number;
}

/**
 * Arithmetic on the memory of one device. Every operation is synchronous, works on float32 spans (ids and
 * targets are i32), and accepts any size, also 0.
 *
 * The value of an output element depends on its own inputs only, and sums run in a fixed order: neither
 * the place of an element in a tile nor the number of other rows or columns changes its bits.
 *
 * Arguments are plain objects that a caller builds once and passes again each step.
 */
export interface Backend {
  readonly name: string;
  readonly heap: DeviceHeap;
  matmul(args: MatmulArgs): void;
  attention(args: AttentionArgs): void;
  attentionBackward(args: AttentionBackwardArgs): void;
  layerNorm(args: LayerNormArgs): void;
  layerNormBackward(args: LayerNormBackwardArgs): void;
  softmax(args: SoftmaxArgs): void;
  softmaxBackward(args: SoftmaxBackwardArgs): void;
  crossEntropy(args: CrossEntropyArgs): void;
  gather(args: GatherArgs): void;
  scatterAdd(args: ScatterAddArgs): void;
  unary(args: UnaryArgs): void;
  unaryBackward(args: UnaryBackwardArgs): void;
  binary(args: BinaryArgs): void;
  addBias(args: AddBiasArgs): void;
  sumRows(args: SumRowsArgs): void;
  adamw(args: AdamWArgs): void;
  /** `y[i] += alpha * x[i]`. */
  axpy(alpha: number, x: Span, y: Span): void;
  /** `x[i] *= alpha`. */
  scale(alpha: number, x: Span): void;
  fill(value: number, x: Span): void;
  copy(from: Span, to: Span): void;
  /** Sum, accumulated in float64. */
  sum(x: Span): number;
  /** Sum of squares, accumulated in float64; NaN or infinite if an element is. */
  sumSquares(x: Span): number;
}
