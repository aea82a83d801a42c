/**
 * Calls of the kernels of rows: addresses and sizes out of the arguments of the interface, which are checked before.
 */
import type { CrossEntropyArgs, FoldRowsArgs, GatherArgs, SumRowsArgs } from "../arguments/row_arguments.ts";
import type { RowExpSumArgs, SpreadCrossEntropyArgs } from "../arguments/spread_arguments.ts";
import { sumSteps } from "../arguments/sum_steps.ts";
import type { Kernels } from "./builder.ts";

/** Calls the variant of `crossEntropy` that the arguments ask for. */
export function runCrossEntropy(kernels: Kernels, a: CrossEntropyArgs): void {
  const { rows, cols } = a;
  const logits = a.logits.byteOffset, targets = a.targets.byteOffset, losses = a.losses.byteOffset;
  if (a.dLogits === undefined) kernels.crossEntropy(logits, targets, losses, rows, cols);
  else kernels.crossEntropyGradient(logits, targets, losses, rows, cols, a.dLogits.byteOffset, a.scale);
}

/** Calls the variant of `rowExpSum` that the arguments ask for. */
export function runRowExpSum(kernels: Kernels, a: RowExpSumArgs): void {
  const { rows, chunks = 1 } = a, size = a.cols / chunks;
  const x = a.x.byteOffset, max = a.max.byteOffset, sums = a.sums.byteOffset;
  if (a.powers === undefined) kernels.rowExpSum(x, max, sums, rows, chunks, size);
  else kernels.rowPowers(x, max, sums, rows, chunks, size, a.powers.byteOffset);
}

/** Calls `spreadLoss`, and `spreadGradient` if the arguments ask for it. */
export function runSpreadCrossEntropy(kernels: Kernels, a: SpreadCrossEntropyArgs): void {
  const { rows, cols, powers } = a, targets = a.targets.byteOffset;
  const max = a.max.byteOffset, sums = a.sums.byteOffset, losses = a.losses.byteOffset;
  kernels.spreadLoss(targets, max, sums, a.chosen.byteOffset, losses, rows);
  if (powers === undefined) return;
  kernels.spreadGradient(targets, sums, powers.byteOffset, rows, cols, a.firstClass, a.scale);
}

/** Calls the variant of `gather` that the arguments ask for. */
export function runGather(kernels: Kernels, a: GatherArgs): void {
  const kernel = a.accumulate ? kernels.gatherAdd : kernels.gather;
  kernel(a.ids.byteOffset, a.table.byteOffset, a.out.byteOffset, a.rows, a.cols);
}

/** Calls the variant of `sumRows` that the arguments ask for; for each run of rows if it adds. */
export function runSumRows(kernels: Kernels, a: SumRowsArgs): void {
  const { cols, units = 1 } = a, rows = a.rows / units, x = a.x.byteOffset, out = a.out.byteOffset;
  if (!a.accumulate) return void kernels.sumUnits(x, out, units, rows, cols);
  for (let unit = 0; unit < units; unit++) {
    kernels.sumRows(x + 4 * unit * rows * cols, out + 4 * unit * cols, rows, cols);
  }
}

/** Calls `sumRows` for each chain of the tree: its rows are added to the first. */
export function runFoldRows(kernels: Kernels, { cols, x, out, tree }: FoldRowsArgs): void {
  const { steps, total } = sumSteps(tree), base = x.byteOffset, rowBytes = 4 * cols;
  for (let i = 0; i < steps.length; i += 3) {
    kernels.sumRows(base + steps[i + 1] * rowBytes, base + steps[i] * rowBytes, steps[i + 2], cols);
  }
  if (total >= 0) kernels.sumRows(base + total * rowBytes, out.byteOffset, 1, cols);
}
