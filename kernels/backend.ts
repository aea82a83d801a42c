import type {
  AdamWArgs,
  AttentionArgs,
  AttentionBackwardArgs,
  BinaryArgs,
  MatmulArgs,
  MergeAttentionArgs,
  UnaryArgs,
  UnaryBackwardArgs,
} from "./arguments/product_arguments.ts";
import type {
  ChoiceDotsArgs,
  CombineRowsArgs,
  RouteArgs,
  RouteBackwardArgs,
} from "./arguments/expert_arguments.ts";
import type { PagedAttentionArgs } from "./arguments/paged_arguments.ts";
import type { DeviceHeap } from "./memory/heap.ts";
import type {
  AddBiasArgs,
  CrossEntropyArgs,
  FoldRowsArgs,
  GatherArgs,
  RotaryArgs,
  ScatterAddArgs,
  SumRowsArgs,
} from "./arguments/row_arguments.ts";
import type { RowKernel, RowSizes } from "./rows/kernel.ts";
import type { Span } from "./memory/span.ts";
import type { RowExpSumArgs, RowMaxArgs, SpreadCrossEntropyArgs } from "./arguments/spread_arguments.ts";

export type * from "./arguments/product_arguments.ts";
export type * from "./arguments/expert_arguments.ts";
export type * from "./arguments/spread_arguments.ts";
export type * from "./arguments/row_arguments.ts";
export type * from "./arguments/paged_arguments.ts";

/** An operation that may take workspace, and its arguments. */
export type ReservedCall =
  | [operation: "matmul", args: MatmulArgs]
  | [operation: "attention", args: AttentionArgs]
  | [operation: "attentionBackward", args: AttentionBackwardArgs]
  | [operation: "pagedAttention", args: PagedAttentionArgs]
  | [operation: "scatterAdd", args: ScatterAddArgs];

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
  /** Name of the option that selects it. */
  readonly name: string;
  /** Memory that all spans lie in. */
  readonly heap: DeviceHeap;
  /** Products of matrices, with what is done to each element after its sum. */
  matmul(args: MatmulArgs): void;
  /** Softmax of scaled dot products of queries and keys, times values. */
  attention(args: AttentionArgs): void;
  /** Gradients of queries, keys and values. */
  attentionBackward(args: AttentionBackwardArgs): void;
  /** Adds attention to other keys to a result of {@link attention}. */
  mergeAttention(args: MergeAttentionArgs): void;
  /** Attention of rows of several sequences to keys in pages; float32 only. */
  pagedAttention(args: PagedAttentionArgs): void;
  /** A kernel of rows, such as a norm or a softmax: `ROW_KERNELS` are those that there are. */
  row<A extends RowSizes, R extends keyof A>(kernel: RowKernel<A, R>, args: NoInfer<A>): void;
  /** Turns pairs of elements of heads by angles: rotary positions. */
  rotary(args: RotaryArgs): void;
  /** Loss of each row in nats, and the gradient of the logits. */
  crossEntropy(args: CrossEntropyArgs): void;
  /** Largest element of each row. */
  rowMax(args: RowMaxArgs): void;
  /** Sum of the exponentials of each row. */
  rowExpSum(args: RowExpSumArgs): void;
  /** Loss of each row whose classes lie on several devices, and the gradient of this device's logits. */
  spreadCrossEntropy(args: SpreadCrossEntropyArgs): void;
  /** Rows of a table by their ids. */
  gather(args: GatherArgs): void;
  /** The mirror of {@link gather}: adds rows to those of a table. */
  scatterAdd(args: ScatterAddArgs): void;
  /** Decides which experts each token goes to. */
  route(args: RouteArgs): void;
  /** Gradient of the probabilities that {@link route} read. */
  routeBackward(args: RouteBackwardArgs): void;
  /** Weighted sums of rows of a table by their ids. */
  combineRows(args: CombineRowsArgs): void;
  /** Dot products with rows of a table by their ids. */
  choiceDots(args: ChoiceDotsArgs): void;
  /** A function of each element. */
  unary(args: UnaryArgs): void;
  /** Its derivative times the gradient of its result. */
  unaryBackward(args: UnaryBackwardArgs): void;
  /** An operation on pairs of elements. */
  binary(args: BinaryArgs): void;
  /** The same vector added to every row. */
  addBias(args: AddBiasArgs): void;
  /** Sums of columns: the mirror of {@link addBias}. */
  sumRows(args: SumRowsArgs): void;
  /** Sums of columns in the order of a tree. */
  foldRows(args: FoldRowsArgs): void;
  /** One update of the optimizer. */
  adamw(args: AdamWArgs): void;
  /** `y[i] += alpha * x[i]`. */
  axpy(alpha: number, x: Span, y: Span): void;
  /** `x[i] *= alpha`. */
  scale(alpha: number, x: Span): void;
  /** `x[i] = value`. */
  fill(value: number, x: Span): void;
  /** `to[i] = from[i]`; the spans may overlap. */
  copy(from: Span, to: Span): void;
  /** Sum, accumulated in float64. */
  sum(x: Span): number;
  /** Sum of squares, accumulated in float64; NaN or infinite if an element is. */
  sumSquares(x: Span): number;
  /** Largest absolute value; NaN if an element is, 0 of nothing. */
  maxAbs(x: Span): number;
  /**
   * Sum of the squares of the integers `x[i] * scale`, rounded to the nearest, ties to even: exact, so its order does not
   * matter. `out` becomes `floor(sum / 2^32)` and `sum mod 2^32`; such pairs may be added over devices.
   *
   * @param scale A power of two, at most 2^18 over the largest element: see `squareScale`.
   * @param x At most 2^27 elements.
   * @param out f64 [2].
   */
  sumSquaresExact(scale: number, x: Span, out: Span): void;
  /**
   * Takes the workspace that an operation takes for such arguments, as its first run does, and computes nothing: what a
   * heap without memory is planned with. A backend leaves it out that takes none, or takes it without memory, too.
   */
  reserve?(...call: ReservedCall): void;
  /**
   * Rearranges a weight [outputs, inputs] in its place, so that products read it once and in order: from then on only
   * products with `packedB` may read it. They have the same bits. A backend that computes on weights as they are leaves it
   * out.
   *
   * @returns Whether it did; not if the outputs are no multiple of 16.
   */
  packWeight?(weight: Span, outputs: number, inputs: number): boolean;
}
