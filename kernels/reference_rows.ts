/**
 * Row operations of the reference backend: float64 in between, float32 at the end.
 */
import type {
  CrossEntropyArgs,
  GatherArgs,
  LayerNormArgs,
  LayerNormBackwardArgs,
  ScatterAddArgs,
  SoftmaxArgs,
  SoftmaxBackwardArgs,
} from "./backend.ts";
import { badId, checkCrossEntropy, checkLayerNorm, checkLayerNormBackward, need } from "./check.ts";
import type { DeviceHeap } from "./heap.ts";

/** Mean, then the variance around it, then the affine map. */
export function layerNorm(heap: DeviceHeap, args: LayerNormArgs): void {
  checkLayerNorm(args);
  const { rows, cols } = args;
  const x = heap.f32(args.x), gamma = heap.f32(args.gamma), beta = heap.f32(args.beta);
  const out = heap.f32(args.out), mean = heap.f32(args.mean), rstd = heap.f32(args.rstd);
  for (let r = 0; r < rows; r++) {
    const row = Float64Array.from(x.subarray(r * cols, (r + 1) * cols));
    const center = row.reduce((a, value) => a + value, 0) / cols;
    const variance = row.reduce((a, value) => a + (value - center) ** 2, 0) / cols;
    const inverse = 1 / Math.sqrt(variance + args.epsilon);
    row.forEach((value, c) => out[r * cols + c] = (value - center) * inverse * gamma[c] + beta[c]);
    mean[r] = center;
    rstd[r] = inverse;
  }
}

/** With h = (x - mean) rstd and g = dOut gamma: `dX = rstd (g - mean(g) - h mean(g h))`. */
export function layerNormBackward(heap: DeviceHeap, args: LayerNormBackwardArgs): void {
  checkLayerNormBackward(args);
  const { rows, cols } = args;
  const x = heap.f32(args.x), gamma = heap.f32(args.gamma), mean = heap.f32(args.mean);
  const rstd = heap.f32(args.rstd), dOut = heap.f32(args.dOut), dX = heap.f32(args.dX);
  const dGamma = Float64Array.from(heap.f32(args.dGamma)), dBeta = Float64Array.from(heap.f32(args.dBeta));
  for (let r = 0; r < rows; r++) {
    const at = r * cols;
    const h = Float64Array.from({ length: cols }, (_, c) => (x[at + c] - mean[r]) * rstd[r]);
    const g = Float64Array.from({ length: cols }, (_, c) => dOut[at + c] * gamma[c]);
    const meanG = g.reduce((a, value) => a + value, 0) / cols;
    const meanGh = g.reduce((a, value, c) => a + value * h[c], 0) / cols;
    for (let c = 0; c < cols; c++) {
      dGamma[c] += dOut[at + c] * h[c];
      dBeta[c] += dOut[at + c];
      const gradient = rstd[r] * (g[c] - meanG - h[c] * meanGh);
      dX[at + c] = args.accumulate ? dX[at + c] + gradient : gradient;
    }
  }
  heap.f32(args.dGamma).set(dGamma.subarray(0, cols));
  heap.f32(args.dBeta).set(dBeta.subarray(0, cols));
}

/** Exponentials relative to the row's maximum, over their sum. */
export function softmax(heap: DeviceHeap, { rows, cols, x, out }: SoftmaxArgs): void {
  need("softmax", "x", x, rows * cols);
  need("softmax", "out", out, rows * cols);
  const from = heap.f32(x), to = heap.f32(out);
  for (let r = 0; r < rows; r++) {
    const { powers, total } = exponentials(from.subarray(r * cols, (r + 1) * cols));
    powers.forEach((power, c) => to[r * cols + c] = power / total);
  }
}

/** `dX = out (dOut - sum(out dOut))`. */
export function softmaxBackward(heap: DeviceHeap, args: SoftmaxBackwardArgs): void {
  const { rows, cols } = args;
  for (const name of ["out", "dOut", "dX"] as const) need("softmaxBackward", name, args[name], rows * cols);
  const out = heap.f32(args.out), dOut = heap.f32(args.dOut), dX = heap.f32(args.dX);
  for (let r = 0; r < rows; r++) {
    let dot = 0;
    for (let i = r * cols; i < (r + 1) * cols; i++) dot += out[i] * dOut[i];
    for (let i = r * cols; i < (r + 1) * cols; i++) dX[i] = out[i] * (dOut[i] - dot);
  }
}

/** Loss of each row, and its gradient if asked for. */
export function crossEntropy(heap: DeviceHeap, args: CrossEntropyArgs): void {
  checkCrossEntropy(args);
  const { rows, cols, scale } = args;
  const logits = heap.f32(args.logits), targets = heap.i32(args.targets), losses = heap.f32(args.losses);
  const dLogits = args.dLogits && heap.f32(args.dLogits);
  checkIds("crossEntropy", targets.subarray(0, rows), cols, -Infinity);
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

/** `out[r] = table[ids[r]]`. */
export function gather(heap: DeviceHeap, args: GatherArgs): void {
  const { rows, cols } = args;
  need("gather", "ids", args.ids, rows);
  need("gather", "out", args.out, rows * cols);
  const ids = heap.i32(args.ids), table = heap.f32(args.table), out = heap.f32(args.out);
  if (cols > 0) checkIds("gather", ids.subarray(0, rows), Math.floor(table.length / cols), 0);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const value = table[ids[r] * cols + c];
      out[r * cols + c] = args.accumulate ? out[r * cols + c] + value : value;
    }
  }
}

/** `table[ids[r]] += x[r]`. */
export function scatterAdd(heap: DeviceHeap, args: ScatterAddArgs): void {
  const { rows, cols } = args;
  need("scatterAdd", "ids", args.ids, rows);
  need("scatterAdd", "x", args.x, rows * cols);
  const ids = heap.i32(args.ids), x = heap.f32(args.x), table = heap.f32(args.table);
  if (cols > 0) checkIds("scatterAdd", ids.subarray(0, rows), Math.floor(table.length / cols), 0);
  const sums = Float64Array.from(table);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) sums[ids[r] * cols + c] += x[r * cols + c];
  }
  table.set(sums);
}

function exponentials(row: Float32Array): { powers: Float64Array; total: number; max: number } {
  const max = row.reduce((a, value) => Math.max(a, value), -Infinity);
  const powers = Float64Array.from(row, (value) => Math.exp(value - max));
  return { powers, total: powers.reduce((a, power) => a + power, 0), max };
}

function checkIds(operation: string, ids: Int32Array, limit: number, lowest: number): void {
  const index = ids.findIndex((id) => id < lowest || id >= limit);
  if (index >= 0) throw badId(operation, index, ids[index], limit);
}
