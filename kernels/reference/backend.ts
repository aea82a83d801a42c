import type * as args from "../backend.ts";
import { checkSquares, need } from "../arguments/check.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import { attention, attentionBackward, mergeAttention } from "./attention.ts";
import * as experts from "./experts.ts";
import { UNARY } from "./math.ts";
import { gatherPanels } from "../weights/reference.ts";
import { matmul } from "./matmul.ts";
import { pagedAttention } from "./paged_attention.ts";
import * as rows from "./rows.ts";
import { foldRows } from "./trees.ts";
import type { RowKernel, RowSizes } from "../rows/kernel.ts";
import { runRowReference } from "../rows/reference.ts";
import type { Span } from "../memory/span.ts";

/**
 * The oracle: naive loops over elements, float64 in between, one rounding to float32 at the end. For tests and
 * debugging; hundreds of times slower than the wasm backend.
 */
export class ReferenceBackend implements args.Backend {
  /** Name of the option that selects it. */
  readonly name = "reference";
  /** Memory that it computes on. */
  readonly heap: DeviceHeap;

  /** Computes on the memory of `heap`, without a workspace. */
  constructor(heap: DeviceHeap) {
    this.heap = heap;
  }

  /** A sum over k for each element. */
  matmul(a: args.MatmulArgs): void {
    matmul(this.heap, a);
  }

  /** Query by query. */
  attention(a: args.AttentionArgs): void {
    attention(this.heap, a);
  }

  /** Query by query. */
  attentionBackward(a: args.AttentionBackwardArgs): void {
    attentionBackward(this.heap, a);
  }

  /** Query by query. */
  mergeAttention(a: args.MergeAttentionArgs): void {
    mergeAttention(this.heap, a);
  }

  /** Query by query. */
  pagedAttention(a: args.PagedAttentionArgs): void {
    pagedAttention(this.heap, a);
  }

  /** Row by row. */
  row<A extends RowSizes, R extends keyof A>(kernel: RowKernel<A, R>, a: NoInfer<A>): void {
    runRowReference(this.heap, kernel, a);
  }

  /** Pair by pair. */
  rotary(a: args.RotaryArgs): void {
    rows.rotary(this.heap, a);
  }

  /** Row by row. */
  crossEntropy(a: args.CrossEntropyArgs): void {
    rows.crossEntropy(this.heap, a);
  }

  /** Row by row. */
  rowMax(a: args.RowMaxArgs): void {
    rows.rowMax(this.heap, a);
  }

  /** Row by row. */
  rowExpSum(a: args.RowExpSumArgs): void {
    rows.rowExpSum(this.heap, a);
  }

  /** Row by row. */
  spreadCrossEntropy(a: args.SpreadCrossEntropyArgs): void {
    rows.spreadCrossEntropy(this.heap, a);
  }

  /** Row by row. */
  gather(a: args.GatherArgs): void {
    if (a.packedTable === undefined) rows.gather(this.heap, a);
    else gatherPanels(this.heap, a, a.packedTable);
  }

  /** Sums in float64, rounded once. */
  scatterAdd(a: args.ScatterAddArgs): void {
    rows.scatterAdd(this.heap, a);
  }

  /** Sorts the experts of each token. */
  route(a: args.RouteArgs): void {
    experts.route(this.heap, a);
  }

  /** Token by token. */
  routeBackward(a: args.RouteBackwardArgs): void {
    experts.routeBackward(this.heap, a);
  }

  /** Sums in float64, rounded once. */
  combineRows(a: args.CombineRowsArgs): void {
    experts.combineRows(this.heap, a);
  }

  /** Sums in float64, rounded once. */
  choiceDots(a: args.ChoiceDotsArgs): void {
    experts.choiceDots(this.heap, a);
  }

  /** Element by element. */
  unary({ op, x, out }: args.UnaryArgs): void {
    need(op, "out", out, x.length);
    const to = this.heap.f32(out);
    this.heap.f32(x).forEach((value, i) => to[i] = UNARY[op].value(value));
  }

  /** Element by element. */
  unaryBackward({ op, x, dOut, dX, accumulate }: args.UnaryBackwardArgs): void {
    need(op, "dOut", dOut, x.length);
    need(op, "dX", dX, x.length);
    const from = this.heap.f32(dOut), to = this.heap.f32(dX);
    this.heap.f32(x).forEach((value, i) => {
      // relu has a mask and not a product: a masked gradient counts for nothing, even if it is infinite.
      const gradient = op === "relu" && value <= 0 ? 0 : from[i] * UNARY[op].derivative(value);
      to[i] = accumulate ? to[i] + gradient : gradient;
    });
  }

  /** Element by element. */
  binary({ op, a, b, out }: args.BinaryArgs): void {
    need(op, "a", a, out.length);
    need(op, "b", b, out.length);
    const left = this.heap.f32(a), right = this.heap.f32(b), to = this.heap.f32(out);
    for (let i = 0; i < to.length; i++) {
      to[i] = op === "add" ? left[i] + right[i] : op === "sub" ? left[i] - right[i] : left[i] * right[i];
    }
  }

  /** Element by element. */
  addBias(a: args.AddBiasArgs): void {
    need("addBias", "x", a.x, a.rows * a.cols);
    need("addBias", "bias", a.bias, a.cols);
    need("addBias", "out", a.out, a.rows * a.cols);
    const x = this.heap.f32(a.x), bias = this.heap.f32(a.bias), out = this.heap.f32(a.out);
    for (let i = 0; i < a.rows * a.cols; i++) out[i] = x[i] + bias[i % a.cols];
  }

  /** Column by column. */
  sumRows(a: args.SumRowsArgs): void {
    rows.sumRows(this.heap, a);
  }

  /** In the order of the tree, which fixes every bit. */
  foldRows(a: args.FoldRowsArgs): void {
    foldRows(this.heap, a);
  }

  /** Element by element; moments are rounded before they are used, as they are stored. */
  adamw(a: args.AdamWArgs): void {
    for (const name of ["gradient", "m", "v"] as const) need("adamw", name, a[name], a.parameter.length);
    const parameter = this.heap.f32(a.parameter), gradient = this.heap.f32(a.gradient);
    const m = this.heap.f32(a.m), v = this.heap.f32(a.v);
    for (let i = 0; i < parameter.length; i++) {
      const g = gradient[i] * a.gradientScale;
      m[i] = a.beta1 * m[i] + (1 - a.beta1) * g;
      v[i] = a.beta2 * v[i] + (1 - a.beta2) * g * g;
      const update = m[i] / a.correction1 / (Math.sqrt(v[i] / a.correction2) + a.epsilon);
      parameter[i] -= a.learningRate * (a.weightDecay * parameter[i] + update);
    }
  }

  /** Element by element. */
  axpy(alpha: number, x: Span, y: Span): void {
    need("axpy", "y", y, x.length);
    const to = this.heap.f32(y);
    this.heap.f32(x).forEach((value, i) => to[i] += alpha * value);
  }

  /** Element by element. */
  scale(alpha: number, x: Span): void {
    this.heap.f32(x).forEach((value, i, all) => all[i] = value * alpha);
  }

  /** Element by element. */
  fill(value: number, x: Span): void {
    this.heap.f32(x).fill(value);
  }

  /** The spans may overlap. */
  copy(from: Span, to: Span): void {
    need("copy", "to", to, from.length);
    this.heap.f32(to).set(this.heap.f32(from));
  }

  /** In order. */
  sum(x: Span): number {
    return this.heap.f32(x).reduce((sum, value) => sum + value, 0);
  }

  /** In order. */
  sumSquares(x: Span): number {
    return this.heap.f32(x).reduce((sum, value) => sum + value * value, 0);
  }

  /** In order. */
  maxAbs(x: Span): number {
    return this.heap.f32(x).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  }

  /** In order. */
  sumSquaresExact(scale: number, x: Span, out: Span): void {
    checkSquares(x, out);
    const rounder = 1.5 * 2 ** 52, integer = (value: number) => BigInt(value * scale + rounder - rounder);
    const sum = this.heap.f32(x).reduce((sum, value) => sum + integer(value) ** 2n, 0n);
    this.heap.f64(out).set([Number(sum >> 32n), Number(sum & 0xffffffffn)]);
  }
}
