/**
 * Sums by a tree in the reference backend: float32 after each addition, so that they have the bits of any other backend.
 */
import { checkFoldRows } from "../arguments/check.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { FoldRowsArgs } from "../arguments/row_arguments.ts";
import type { SumTree } from "../arguments/sum_tree.ts";

/** Adds the sum of rows. */
export function foldRows(heap: DeviceHeap, args: FoldRowsArgs): void {
  checkFoldRows(args);
  const { cols, x, out, tree } = args;
  const from = heap.f32(x), to = heap.f32(out);
  treeSum(tree, (row) => from.subarray(row * cols, (row + 1) * cols))
    ?.forEach((value, c) => to[c] += value);
}

/** The sum of the terms that there are, if any. */
export function treeSum(
  { leaves, merges }: SumTree,
  termAt: (index: number) => Float32Array | undefined,
): Float32Array | undefined {
  const open: (Float32Array | undefined)[] = [];
  leaves.forEach((runs, leaf) => {
    let sum: Float32Array | undefined;
    for (const { start, length } of runs) {
      for (let index = start; index < start + length; index++) sum = plus(sum, termAt(index));
    }
    open.push(sum);
    for (let i = 0; i < merges[leaf]; i++) {
      const right = open.pop();
      open.push(plus(open.pop(), right));
    }
  });
  return open[0];
}

function plus(a: Float32Array | undefined, b: Float32Array | undefined): Float32Array | undefined {
  return a === undefined || b === undefined ? a ?? b : a.map((value, i) => value + b[i]);
}
