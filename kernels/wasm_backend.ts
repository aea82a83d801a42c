import type * as args from "./backend.ts";
import * as check from "./arguments/check.ts";
import {
  checkChoiceDots,
  checkCombineRows,
  checkRoute,
  checkRouteBackward,
  type FindBadId,
} from "./arguments/check_experts.ts";
import type { DeviceHeap } from "./memory/heap.ts";
import type { RowKernel, RowSizes } from "./rows/kernel.ts";
import { RowCalls } from "./rows/wasm.ts";
import type { Span } from "./memory/span.ts";
import { gatherPanels } from "./weights/reference.ts";
import { Attention } from "./wasm/attention.ts";
import type { Kernels } from "./wasm/builder.ts";
import { runChoiceDots, runCombineRows, runRoute, runRouteBackward } from "./wasm/experts.ts";
import type { Tile } from "./wasm/gemm.ts";
import { Matmul } from "./wasm/matmul.ts";
import { instantiateKernels } from "./wasm/module.ts";
import { runAdamW } from "./wasm/optimizer.ts";
import { PagedAttention } from "./wasm/paged_attention.ts";
import { chooseTile } from "./wasm/choose_tile.ts";
import { runUnaryBackward } from "./wasm/element_calls.ts";
import {
  runCrossEntropy,
  runFoldRows,
  runGather,
  runRowExpSum,
  runSpreadCrossEntropy,
  runSumRows,
} from "./wasm/row_calls.ts";
import { runRotary } from "./wasm/rotary.ts";
import { TreeScatter } from "./wasm/tree_scatter.ts";

/**
 * The default backend: SIMD kernels with fused multiply-add, emitted by `kernels/wasm/`. A call makes no garbage.
 *
 * Errors of the elementary functions are stated in `kernels/wasm/math.ts`; sums are float32 in a fixed order.
 */
export class WasmBackend implements args.Backend {
  /** Name of the option that selects it. */
  readonly name = "wasm";
  /** Memory that it computes on. */
  readonly heap: DeviceHeap;
  readonly #kernels: Kernels;
  readonly #matmul: Matmul;
  readonly #attention: Attention;
  readonly #paged: PagedAttention;
  readonly #rows: RowCalls;
  readonly #scatter: TreeScatter;
  readonly #findBadId: FindBadId = (ids, n, limit, lowest) =>
    this.#kernels.firstBadId(ids.byteOffset, n, limit, lowest);

  /**
   * Binds the kernels to the memory of `heap` and allocates their workspace there.
   *
   * @param tile Register tile of matmul; by default the faster one. It changes no bits.
   */
  constructor(heap: DeviceHeap, tile: Tile = chooseTile().tile) {
    this.heap = heap;
    this.#kernels = instantiateKernels(heap, tile);
    this.#matmul = new Matmul(heap, this.#kernels, tile);
    this.#attention = new Attention(heap, this.#kernels, this.#matmul);
    this.#paged = new PagedAttention(heap, this.#kernels, this.#matmul);
    this.#rows = new RowCalls(this.#kernels);
    this.#scatter = new TreeScatter(heap, this.#kernels);
  }

  /** Blocked GEMM. */
  matmul(a: args.MatmulArgs): void {
    this.#matmul.run(a);
  }

  /** Fused, without a T x T tensor. */
  attention(a: args.AttentionArgs): void {
    check.checkAttention(a);
    this.#attention.forward(a);
  }

  /** Computes the probabilities again from `logSumExp`. */
  attentionBackward(a: args.AttentionBackwardArgs): void {
    check.checkAttentionBackward(a);
    this.#attention.backward(a);
  }

  /** Two exponentials and a logarithm for each row. */
  mergeAttention(a: args.MergeAttentionArgs): void {
    check.checkMergeAttention(a);
    this.#attention.merge(a);
  }

  /** Fused, a page at a time. */
  pagedAttention(a: args.PagedAttentionArgs): void {
    this.#paged.run(a);
  }

  /** Two or three passes over each row. */
  row<A extends RowSizes, R extends keyof A>(kernel: RowKernel<A, R>, a: NoInfer<A>): void {
    this.#rows.run(kernel, a);
  }

  /** One pass. */
  rotary(a: args.RotaryArgs): void {
    check.checkRotary(a);
    runRotary(this.#kernels, a);
  }

  /** One exponential per logit, gradient included. */
  crossEntropy(a: args.CrossEntropyArgs): void {
    check.checkCrossEntropy(a);
    this.#checkIds("crossEntropy", a.targets, a.rows, a.cols);
    runCrossEntropy(this.#kernels, a);
  }

  /** One pass. */
  rowMax({ rows, cols, x, out }: args.RowMaxArgs): void {
    check.need("rowMax", "x", x, rows * cols);
    check.need("rowMax", "out", out, rows);
    this.#kernels.rowMax(x.byteOffset, out.byteOffset, rows, cols);
  }

  /** One pass, one exponential per element. */
  rowExpSum(a: args.RowExpSumArgs): void {
    check.checkRowExpSum(a);
    runRowExpSum(this.#kernels, a);
  }

  /** A logarithm per row, then one pass over the exponentials. */
  spreadCrossEntropy(a: args.SpreadCrossEntropyArgs): void {
    check.checkSpreadCrossEntropy(a);
    runSpreadCrossEntropy(this.#kernels, a);
  }

  /** Copies or adds rows. */
  gather(a: args.GatherArgs): void {
    check.need("gather", "ids", a.ids, a.rows);
    check.need("gather", "out", a.out, a.rows * a.cols);
    if (a.cols === 0) return;
    if (a.packedTable !== undefined) return gatherPanels(this.heap, a, a.packedTable);
    this.#checkIds("gather", a.ids, a.rows, Math.floor(a.table.length / a.cols));
    runGather(this.#kernels, a);
  }

  /** Rows in order, or linked by id first and then in the order of the tree. */
  scatterAdd(a: args.ScatterAddArgs): void {
    check.checkScatterAdd(a);
    if (a.cols === 0) return;
    this.#checkIds("scatterAdd", a.ids, a.rows, Math.floor(a.table.length / a.cols));
    if (a.tree !== undefined) this.#scatter.run(a, a.tree);
    else this.#kernels.scatterAdd(a.ids.byteOffset, a.x.byteOffset, a.table.byteOffset, a.rows, a.cols);
  }

  /** Scalar code: experts x choices operations for each token. */
  route(a: args.RouteArgs): void {
    checkRoute(a);
    runRoute(this.#kernels, a);
  }

  /** One pass over the probabilities. */
  routeBackward(a: args.RouteBackwardArgs): void {
    checkRouteBackward(a, this.#findBadId, this.heap);
    runRouteBackward(this.#kernels, a);
  }

  /** A fused multiply-add for each element of each row. */
  combineRows(a: args.CombineRowsArgs): void {
    checkCombineRows(a, this.#findBadId, this.heap);
    runCombineRows(this.#kernels, a);
  }

  /** Eight chains, then a tree, for each dot product. */
  choiceDots(a: args.ChoiceDotsArgs): void {
    checkChoiceDots(a, this.#findBadId, this.heap);
    runChoiceDots(this.#kernels, a);
  }

  /** One pass. */
  unary({ op, x, out }: args.UnaryArgs): void {
    check.need(op, "out", out, x.length);
    this.#kernels[op](x.byteOffset, out.byteOffset, x.length);
  }

  /** One pass; computes what it needs again from x. */
  unaryBackward(a: args.UnaryBackwardArgs): void {
    check.need(a.op, "dOut", a.dOut, a.x.length);
    check.need(a.op, "dX", a.dX, a.x.length);
    runUnaryBackward(this.#kernels, a);
  }

  /** One pass. */
  binary({ op, a, b, out }: args.BinaryArgs): void {
    check.need(op, "a", a, out.length);
    check.need(op, "b", b, out.length);
    this.#kernels[op](a.byteOffset, b.byteOffset, out.byteOffset, out.length);
  }

  /** One pass. */
  addBias({ rows, cols, x, bias, out }: args.AddBiasArgs): void {
    check.need("addBias", "x", x, rows * cols);
    check.need("addBias", "bias", bias, cols);
    check.need("addBias", "out", out, rows * cols);
    this.#kernels.addBias(x.byteOffset, bias.byteOffset, out.byteOffset, rows, cols);
  }

  /** Streams x once; a chain of additions per column. */
  sumRows(a: args.SumRowsArgs): void {
    check.checkSumRows(a);
    runSumRows(this.#kernels, a);
  }

  /** A call for each chain and each merge of the tree; streams x about once. */
  foldRows(a: args.FoldRowsArgs): void {
    check.checkFoldRows(a);
    runFoldRows(this.#kernels, a);
  }

  /** One pass over the four spans. */
  adamw(a: args.AdamWArgs): void {
    const { parameter, gradient, m, v } = a, n = parameter.length;
    check.need("adamw", "gradient", gradient, n);
    check.need("adamw", "m", m, n);
    check.need("adamw", "v", v, n);
    runAdamW(this.#kernels, a);
  }

  /** One pass. */
  axpy(alpha: number, x: Span, y: Span): void {
    check.need("axpy", "y", y, x.length);
    this.#kernels.axpy(alpha, x.byteOffset, y.byteOffset, x.length);
  }

  /** One pass. */
  scale(alpha: number, x: Span): void {
    this.#kernels.scale(alpha, x.byteOffset, x.length);
  }

  /** One pass. */
  fill(value: number, x: Span): void {
    this.#kernels.fill(value, x.byteOffset, x.length);
  }

  /** `memory.copy`; the spans may overlap. */
  copy(from: Span, to: Span): void {
    check.need("copy", "to", to, from.length);
    this.#kernels.copy(from.byteOffset, to.byteOffset, from.length);
  }

  /** Eight chains of float64, then a tree. */
  sum(x: Span): number {
    return this.#kernels.sum(x.byteOffset, x.length);
  }

  /** Eight chains of float64, then a tree. */
  sumSquares(x: Span): number {
    return this.#kernels.sumSquares(x.byteOffset, x.length);
  }

  /** One pass. */
  maxAbs(x: Span): number {
    return this.#kernels.maxAbs(x.byteOffset, x.length);
  }

  /** One pass; int64 lanes. */
  sumSquaresExact(scale: number, x: Span, out: Span): void {
    check.checkSquares(x, out);
    this.#kernels.sumSquaresExact(scale, x.byteOffset, x.length, out.byteOffset);
  }

  /** Workspace is kept from call to call, and grows with the largest. */
  reserve(...[operation, a]: args.ReservedCall): void {
    if (operation === "matmul") {
      this.#matmul.reserve(a);
    } else if (operation === "scatterAdd") {
      if (a.tree !== undefined) this.#scatter.reserve(a, a.tree);
    } else if (operation === "pagedAttention") {
      this.#paged.reserve(a);
    } else {
      this.#attention.reserve(a);
    }
  }

  /** One pass over the weight. */
  packWeight(weight: Span, outputs: number, inputs: number): boolean {
    check.need("packWeight", "weight", weight, outputs * inputs);
    return this.#matmul.packWeight(weight, outputs, inputs);
  }

  #checkIds(operation: string, ids: Span, rows: number, limit: number): void {
    const index = this.#kernels.firstBadId(ids.byteOffset, rows, limit);
    if (index < rows) throw check.badId(operation, index, this.heap.i32(ids)[index], limit);
  }
}
