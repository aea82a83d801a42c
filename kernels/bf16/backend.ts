import type * as args from "../backend.ts";
import { Bf16Attention } from "./attention.ts";
import { Bf16Elements } from "./elements.ts";
import { gatherBf16 } from "./gather.ts";
import { Bf16Matmul } from "./matmul.ts";
import { runColumns } from "./rows.ts";
import { isBf16 } from "./staging.ts";
import { need } from "../arguments/check.ts";
import { stagedOperands } from "../rows/bf16.ts";
import type { RowGradientSizes, RowKernel } from "../rows/kernel.ts";

/**
 * A backend whose spans of floats may be bf16 in place of f32, each for itself: bf16 is a storage format, another backend
 * computes on float32 copies of some rows, columns or blocks at a time, and what it writes is rounded once.
 *
 * Calls without bf16 go straight through. The staging memory is workspace, at most some MiB: see {@link Bf16Staging}.
 * Log-sum-exps are always f32.
 */
export class Bf16Backend extends Bf16Elements implements args.Backend {
  readonly #matmul: Bf16Matmul;
  readonly #attention: Bf16Attention;

  /** Wraps a backend of float32. */
  constructor(inner: args.Backend) {
    super(inner);
    this.#matmul = new Bf16Matmul(inner, this.staging);
    this.#attention = new Bf16Attention(inner, this.staging);
  }

  /** In blocks of rows, columns and terms. */
  matmul(a: args.MatmulArgs): void {
    this.#matmul.run(a);
  }

  /** Head by head of keys and values. */
  attention(a: args.AttentionArgs): void {
    this.#attention.forward(a);
  }

  /** Head by head of keys and values. */
  attentionBackward(a: args.AttentionBackwardArgs): void {
    this.#attention.backward(a);
  }

  /** Sample by sample. */
  mergeAttention(a: args.MergeAttentionArgs): void {
    this.#attention.merge(a);
  }

  /** Of float32: generation has no other. */
  pagedAttention(a: args.PagedAttentionArgs): void {
    this.inner.pagedAttention(a);
  }

  /** Some rows at a time; sums are rounded after the last. */
  row<A extends RowGradientSizes, R extends keyof A>(kernel: RowKernel<A, R>, a: NoInfer<A>): void {
    const { rows, units } = a, blocks = units === undefined ? rows : 1;
    this.runRows(kernel.name, a, blocks, stagedOperands<A>(kernel, a), (block) => {
      this.inner.row(kernel, units === undefined ? block : { ...block, rows });
    });
  }

  /** Some rows at a time. */
  rotary(a: args.RotaryArgs): void {
    const cols = a.heads * a.headDim;
    this.runRows(
      "rotary",
      a,
      a.rows,
      [["x", "in", cols], ["out", "out", cols], ["angles", "in", a.headDim]],
      (block) => {
        this.inner.rotary(block);
      },
    );
  }

  /** Some rows at a time. */
  crossEntropy(a: args.CrossEntropyArgs): void {
    const { rows, cols } = a;
    this.runRows("crossEntropy", a, rows, [
      ...[["logits", "in", cols], ["dLogits", "out", cols], ["targets", "in", 1]] as const,
      ["losses", "out", 1],
    ], (block) => this.inner.crossEntropy(block));
  }

  /** Some rows at a time. */
  rowMax(a: args.RowMaxArgs): void {
    this.runRows("rowMax", a, a.rows, [["x", "in", a.cols], ["out", "out", 1]], (block) => {
      this.inner.rowMax(block);
    });
  }

  /** Some rows at a time. */
  rowExpSum(a: args.RowExpSumArgs): void {
    const { rows, cols } = a;
    this.runRows("rowExpSum", a, rows, [
      ...[["x", "in", cols], ["powers", "out", cols], ["max", "in", 1], ["sums", "out", 1]] as const,
    ], (block) => this.inner.rowExpSum(block));
  }

  /** Some rows at a time. */
  spreadCrossEntropy(a: args.SpreadCrossEntropyArgs): void {
    const { rows, cols } = a;
    this.runRows("spreadCrossEntropy", a, rows, [
      ...[["powers", "inout", cols], ["targets", "in", 1], ["max", "in", 1], ["sums", "in", 1]] as const,
      ...[["chosen", "in", 1], ["losses", "out", 1]] as const,
    ], (block) => this.inner.spreadCrossEntropy(block));
  }

  /** Fetches rows of a bf16 table in float32, then copies or adds them. */
  gather(a: args.GatherArgs): void {
    const { rows, cols, table, accumulate } = a;
    if (isBf16(table)) return gatherBf16(this.inner, this.staging, a);
    const use = accumulate ? "inout" : "out";
    this.runRows("gather", a, rows, [["out", use, cols], ["ids", "in", 1], ["table", "in"]], (block) => {
      this.inner.gather(block);
    });
  }

  /** Some columns at a time: rows that are added to the same one are rounded after the last. */
  scatterAdd(a: args.ScatterAddArgs): void {
    const { rows, cols, ids, x, table } = a, length = Math.floor(table.length / Math.max(1, cols));
    need("scatterAdd", "ids", ids, rows);
    need("scatterAdd", "x", x, rows * cols);
    const operands = [["x", "in", rows], ["table", "inout", length]] as const;
    runColumns(this.staging, a, { name: "scatterAdd", cols, operands }, (block) => {
      this.inner.scatterAdd(block);
    });
  }

  /** At once: routers work on few numbers. */
  route(a: args.RouteArgs): void {
    this.runRows("route", a, 1, [
      ...[["probabilities", "in"], ["mask", "in"], ["weights", "inout"], ["slotWeights", "inout"]] as const,
      ["losses", "inout"],
    ], (block) => this.inner.route(block));
  }

  /** At once. */
  routeBackward(a: args.RouteBackwardArgs): void {
    this.runRows("routeBackward", a, 1, [
      ...[["probabilities", "in"], ["weights", "in"], ["dWeights", "in"], [
        "dProbabilities",
        "inout",
      ]] as const,
    ], (block) => this.inner.routeBackward(block));
  }

  /** Some columns at a time, of operands of one type; the weights at once. */
  combineRows(a: args.CombineRowsArgs): void {
    const { rows, cols, table } = a, length = Math.floor(table.length / Math.max(1, cols));
    const operands = [["table", "in", length], ["out", a.accumulate ? "inout" : "out", rows]] as const;
    const { weights } = a;
    if (isBf16(weights)) throw new TypeError("Cannot run combineRows: weights must be f32");
    need("combineRows", "ids", a.ids, rows * a.count);
    runColumns(this.staging, a, { name: "combineRows", cols, operands }, (block) => {
      this.inner.combineRows(block);
    });
  }

  /** Some rows of x at a time, the table at once. */
  choiceDots(a: args.ChoiceDotsArgs): void {
    const { rows, cols, count } = a;
    this.runRows("choiceDots", a, rows, [
      ...[["x", "in", cols], ["ids", "in", count], ["out", "out", count], ["table", "in"]] as const,
    ], (block) => this.inner.choiceDots(block));
  }

  /** Some rows at a time. */
  addBias(a: args.AddBiasArgs): void {
    const { rows, cols } = a;
    this.runRows("addBias", a, rows, [["x", "in", cols], ["out", "out", cols], ["bias", "in"]], (block) => {
      this.inner.addBias(block);
    });
  }

  /** Some rows at a time; the sums are rounded after the last. */
  sumRows(a: args.SumRowsArgs): void {
    const { rows, cols, units, accumulate = false } = a;
    if (units !== undefined) {
      return this.runRows("sumRows", a, 1, [["x", "in"], ["out", "inout"]], (block) => {
        this.inner.sumRows({ ...block, rows });
      });
    }
    this.runRows("sumRows", a, rows, [["x", "in", cols], ["out", "inout"]], (block, first) => {
      this.inner.sumRows({ ...block, accumulate: accumulate || first > 0 });
    });
  }

  /** At once. */
  foldRows(a: args.FoldRowsArgs): void {
    this.runRows("foldRows", a, 1, [["x", "inout"], ["out", "inout"]], (block) => this.inner.foldRows(block));
  }
}

/** Makes a backend compute on spans of bf16, too: see {@link Bf16Backend}. */
export function bf16Backend(inner: args.Backend): args.Backend {
  return new Bf16Backend(inner);
}
