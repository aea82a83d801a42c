/**
 * Row operations of the reference backend: float64 in between, float32 at the end.
 */
import type {
  CrossEntropyArgs,
  GatherArgs,
  RotaryArgs,
  ScatterAddArgs,
  SumRowsArgs,
} from "../arguments/row_arguments.ts";
import type { RowExpSumArgs, RowMaxArgs, SpreadCrossEntropyArgs } from "../arguments/spread_arguments.ts";
import * as check from "../arguments/check.ts";
import { badId, need } from "../arguments/check.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import { exponentials } from "./math.ts";
import { treeSum } from "./trees.ts";
import { bisectionTree } from "../arguments/sum_tree.ts";

/** Pair by pair. */
export function rotary(heap: DeviceHeap, args: RotaryArgs): void {
  check.checkRotary(args);
  const { rows, heads, headDim, isBack } = args, half = headDim / 2, sign = isBack ? -1 : 1;
  const x = heap.f32(args.x), angles = heap.f32(args.angles), out = heap.f32(args.out);
  for (let head = 0; head < rows * heads; head++) {
    const row = Math.floor(head / heads);
    for (let i = 0; i < half; i++) {
      const a = x[head * headDim + i], b = x[head * headDim + half + i];
      const cos = angles[row * headDim + i], sin = sign * angles[row * headDim + half + i];
      out[head * headDim + i] = a * cos - b * sin;
      out[head * headDim + half + i] = b * cos + a * sin;
    }
  }
}

/** Sums in float64, rounded once. */
export function sumRows(heap: DeviceHeap, args: SumRowsArgs): void {
  check.checkSumRows(args);
  const { rows, cols, units = 1, accumulate } = args, unitRows = rows / units;
  const x = heap.f32(args.x), out = heap.f32(args.out);
  for (let i = 0; i < units * cols; i++) {
    const first = Math.floor(i / cols) * unitRows * cols + i % cols;
    let sum = accumulate ? out[i] : 0;
    for (let r = 0; r < unitRows; r++) sum += x[first + r * cols];
    out[i] = sum;
  }
}

/** Loss of each row, and its gradient if asked for. */
export function crossEntropy(heap: DeviceHeap, args: CrossEntropyArgs): void {
  check.checkCrossEntropy(args);
  const { rows, cols, scale } = args;
  const logits = heap.f32(args.logits), targets = heap.i32(args.targets), losses = heap.f32(args.losses);
  const dLogits = args.dLogits && heap.f32(args.dLogits);
  checkIds("crossEntropy", targets.subarray(0, rows), cols);
  for (let r = 0; r < rows; r++) {
    const target = targets[r], at = r * cols;
    if (target < 0) {
      losses[r] = 0;
      dLogits?.fill(0, at, at + cols);
      continue;
    }
    const { powers, total, max } = exponentials(logits.subarray(at, at + cols));
    losses[r] = max - logits[at + target] + Math.log(total);
    if (dLogits === undefined) continue;
    powers.forEach((power, c) => dLogits[at + c] = (power / total - (c === target ? 1 : 0)) * scale);
  }
}

/** Row by row. */
export function rowMax(heap: DeviceHeap, { rows, cols, x, out }: RowMaxArgs): void {
  need("rowMax", "x", x, rows * cols);
  need("rowMax", "out", out, rows);
  const from = heap.f32(x), to = heap.f32(out);
  for (let r = 0; r < rows; r++) to[r] = largest(from.subarray(r * cols, (r + 1) * cols));
}

/** Exponentials relative to the given maximum, and their sum; those of chunks are rounded as on the device that has them. */
export function rowExpSum(heap: DeviceHeap, args: RowExpSumArgs): void {
  check.checkRowExpSum(args);
  const { rows, cols, chunks = 1 } = args, size = cols / chunks;
  const x = heap.f32(args.x), max = heap.f32(args.max), sums = heap.f32(args.sums);
  const to = args.powers && heap.f32(args.powers);
  const leaves = Array.from({ length: chunks }, (_, start) => [{ start, length: 1 }]),
    tree = bisectionTree(leaves);
  for (let r = 0; r < rows; r++) {
    const total = treeSum(tree, (chunk) => {
      const at = r * cols + chunk * size, { powers, total } = exponentials(x.subarray(at, at + size), max[r]);
      to?.set(powers, at);
      return Float32Array.of(total);
    });
    sums[r] = total![0];
  }
}

/** Loss of each row from its parts, and the gradient of this device's logits. */
export function spreadCrossEntropy(heap: DeviceHeap, args: SpreadCrossEntropyArgs): void {
  check.checkSpreadCrossEntropy(args);
  const { rows, cols, firstClass, scale } = args;
  const targets = heap.i32(args.targets), max = heap.f32(args.max), sums = heap.f32(args.sums);
  const chosen = heap.f32(args.chosen), losses = heap.f32(args.losses);
  const powers = args.powers && heap.f32(args.powers);
  for (let r = 0; r < rows; r++) {
    const isMasked = targets[r] < 0, own = targets[r] - firstClass, at = r * cols;
    losses[r] = isMasked ? 0 : max[r] - chosen[r] + Math.log(sums[r]);
    if (powers === undefined) continue;
    for (let c = 0; c < cols; c++) {
      powers[at + c] = isMasked ? 0 : (powers[at + c] / sums[r] - (c === own ? 1 : 0)) * scale;
    }
  }
}

/** `out[r] = table[ids[r]]`, or -0. */
export function gather(heap: DeviceHeap, args: GatherArgs): void {
  const { rows, cols } = args;
  need("gather", "ids", args.ids, rows);
  need("gather", "out", args.out, rows * cols);
  const ids = heap.i32(args.ids), table = heap.f32(args.table), out = heap.f32(args.out);
  if (cols > 0) checkIds("gather", ids.subarray(0, rows), Math.floor(table.length / cols));
  for (let r = 0; r < rows; r++) {
    if (ids[r] < 0 && args.accumulate) continue;
    for (let c = 0; c < cols; c++) {
      const value = ids[r] < 0 ? -0 : table[ids[r] * cols + c];
      out[r * cols + c] = args.accumulate ? out[r * cols + c] + value : value;
    }
  }
}

/** `table[ids[r]] += x[r]`. */
export function scatterAdd(heap: DeviceHeap, args: ScatterAddArgs): void {
  check.checkScatterAdd(args);
  const { rows, cols, tree } = args;
  const ids = heap.i32(args.ids), x = heap.f32(args.x), table = heap.f32(args.table);
  if (cols > 0) checkIds("scatterAdd", ids.subarray(0, rows), Math.floor(table.length / cols));
  if (tree !== undefined) {
    for (const id of new Set(ids.subarray(0, rows).filter((id) => id >= 0))) {
      const termAt = (r: number) => ids[r] === id ? x.subarray(r * cols, (r + 1) * cols) : undefined;
      treeSum(tree, termAt)?.forEach((value, c) => table[id * cols + c] += value);
    }
    return;
  }
  const sums = Float64Array.from(table);
  for (let r = 0; r < rows; r++) {
    if (ids[r] < 0) continue;
    for (let c = 0; c < cols; c++) sums[ids[r] * cols + c] += x[r * cols + c];
  }
  table.set(sums);
}

function largest(row: Float32Array): number {
  return row.reduce((a, value) => value > a ? value : a, -Infinity);
}

function checkIds(operation: string, ids: Int32Array, limit: number): void {
  const index = ids.findIndex((id) => id >= limit);
  if (index >= 0) throw badId(operation, index, ids[index], limit);
}
