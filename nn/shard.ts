import { numElements } from "../kernels/mod.ts";
import { type Shape } from "./shape.ts";

/** Consecutive indices of a dim. */
export interface Run {
  /** First index. */
  readonly start: number;
  /** Number of indices. */
  readonly length: number;
}

/** The part of a tensor that a device holds: runs of indices along one dim, in the order in which they are stored. */
export interface Shard {
  /** The dim that is cut; all others are whole. */
  readonly dim: number;
  /** Indices of that dim that the device holds. */
  readonly runs: readonly Run[];
  /** Another device of its group holds the same, and answers for it. */
  readonly isCopy?: boolean;
}

/** Shape of a shard of a tensor. */
export function shardShape(shape: Shape, shard: Shard | undefined): Shape {
  if (shard === undefined) return shape;
  const size = shard.runs.reduce((sum, run) => sum + run.length, 0);
  return shape.map((full, dim) => dim === shard.dim ? size : full);
}

/**
 * Visits a shard as runs of consecutive elements: `local` elements into the shard lie `global` elements into the whole.
 */
export function eachRun(
  shape: Shape,
  shard: Shard | undefined,
  visit: (local: number, global: number, length: number) => void,
): void {
  if (shard === undefined) return visit(0, 0, numElements(shape));
  const inner = numElements(shape.slice(shard.dim + 1)), outer = numElements(shape.slice(0, shard.dim));
  let local = 0;
  for (let i = 0; i < outer; i++) {
    for (const { start, length } of shard.runs) {
      visit(local, (i * shape[shard.dim] + start) * inner, length * inner);
      local += length * inner;
    }
  }
}
