import type * as args from "../backend.ts";
import { toBf16 } from "./convert.ts";
import { runRows, totalOf } from "./rows.ts";
import { Bf16Staging, isBf16 } from "./staging.ts";
import { need } from "../arguments/check.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";

/** The part of a {@link Bf16Backend} that computes element by element; some are staged at a time. */
export abstract class Bf16Elements {
  /** That of the backend that computes. */
  readonly name: string;
  /** Memory that all spans lie in. */
  readonly heap: DeviceHeap;
  protected readonly inner: args.Backend;
  protected readonly staging: Bf16Staging;

  /** Wraps a backend of float32. */
  constructor(inner: args.Backend) {
    this.name = inner.name;
    this.heap = inner.heap;
    this.inner = inner;
    this.staging = new Bf16Staging(inner.heap);
  }

  /** Some elements at a time. */
  unary(a: args.UnaryArgs): void {
    this.runRows(
      a.op,
      a,
      a.x.length,
      [["x", "in", 1], ["out", "out", 1]],
      (block) => this.inner.unary(block),
    );
  }

  /** Some elements at a time. */
  unaryBackward(a: args.UnaryBackwardArgs): void {
    const use = a.accumulate ? "inout" : "out";
    this.runRows(a.op, a, a.x.length, [["x", "in", 1], ["dOut", "in", 1], ["dX", use, 1]], (block) => {
      this.inner.unaryBackward(block);
    });
  }

  /** Some elements at a time. */
  binary(a: args.BinaryArgs): void {
    this.runRows(a.op, a, a.out.length, [["a", "in", 1], ["b", "in", 1], ["out", "out", 1]], (block) => {
      this.inner.binary(block);
    });
  }

  /** Some elements at a time; where there is a master, it is updated, and rounded to the parameter. */
  adamw(a: args.AdamWArgs): void {
    const { master, ...update } = a, length = a.parameter.length;
    const rest = [["gradient", "in", 1], ["m", "inout", 1], ["v", "inout", 1]] as const;
    if (master === undefined) {
      return this.runRows("adamw", update, length, [["parameter", "inout", 1], ...rest], (block) => {
        this.inner.adamw(block);
      });
    }
    const owned = { ...update, parameter: master, stored: a.parameter };
    const operands = [["parameter", "inout", 1], ["stored", "out", 1], ...rest] as const;
    this.runRows("adamw", owned, length, operands, ({ stored, ...block }) => {
      this.inner.adamw(block);
      this.inner.copy(block.parameter, stored);
    });
  }

  /** Some elements at a time. */
  axpy(alpha: number, x: Span, y: Span): void {
    this.runRows("axpy", { x, y }, x.length, [["x", "in", 1], ["y", "inout", 1]], (block) => {
      this.inner.axpy(alpha, block.x, block.y);
    });
  }

  /** Some elements at a time. */
  scale(alpha: number, x: Span): void {
    this.runRows("scale", { x }, x.length, [["x", "inout", 1]], (block) => this.inner.scale(alpha, block.x));
  }

  /** One pass. */
  fill(value: number, x: Span): void {
    if (isBf16(x)) this.staging.fill(toBf16(value), x);
    else this.inner.fill(value, x);
  }

  /** Between types it widens or rounds. */
  copy(from: Span, to: Span): void {
    if (isBf16(from) === isBf16(to) && !isBf16(to)) return this.inner.copy(from, to);
    need("copy", "to", to, from.length);
    if (isBf16(from) && isBf16(to)) this.staging.copy(from, to);
    else if (isBf16(from)) this.staging.widen(from, 0, to, from.length);
    else this.staging.narrow(from, to, 0, from.length);
  }

  /** Sums of some elements at a time, in float64. */
  sum(x: Span): number {
    return totalOf(this.staging, x, (block) => this.inner.sum(block));
  }

  /** The same of squares. */
  sumSquares(x: Span): number {
    return totalOf(this.staging, x, (block) => this.inner.sumSquares(block));
  }

  /** Some elements at a time. */
  maxAbs(x: Span): number {
    let max = 0;
    this.runRows("maxAbs", { x }, x.length, [["x", "in", 1]], (block) => {
      max = Math.max(max, this.inner.maxAbs(block.x));
    });
    return max;
  }

  /** Adds the parts of some elements at a time, which are whole numbers. */
  sumSquaresExact(scale: number, x: Span, out: Span): void {
    if (!isBf16(x)) return this.inner.sumSquaresExact(scale, x, out);
    const sums = [0, 0];
    this.runRows("sumSquaresExact", { x }, x.length, [["x", "in", 1]], (block) => {
      this.inner.sumSquaresExact(scale, block.x, out);
      if (this.heap.memory !== undefined) this.heap.f64(out).forEach((part, i) => sums[i] += part);
    });
    if (this.heap.memory !== undefined) this.heap.f64(out).set(sums);
  }

  /** Runs an operation on blocks of rows of its arguments; see `bf16_rows.ts`. */
  protected runRows<A extends object>(
    name: string,
    a: A,
    rows: number,
    operands: Parameters<typeof runRows<A>>[2]["operands"],
    call: (block: A, firstRow: number) => void,
  ): void {
    runRows(this.staging, a, { name, rows, operands }, call);
  }
}
