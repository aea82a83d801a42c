import { chunkOf, lineChunkStart } from "./chunks.ts";
import type { Reduction } from "./operation.ts";
import { treeSplit } from "./reduction_tree.ts";

/** Elements of one rank; all ranks have the same type. Those of bf16 are float32. */
export type Elements = Float32Array | Float64Array | Int32Array;

/**
 * Serial twin of `eager` and `ordered` all-reduce: the same tree over ranks, so the same bits.
 *
 * @param inputs Elements by rank, of equal length.
 */
export function serialAllReduce<T extends Elements>(inputs: readonly T[], reduction: Reduction = "sum"): T {
  if (inputs.length === 1) return inputs[0].slice() as T;
  const split = treeSplit(inputs.length);
  const left = serialAllReduce(inputs.slice(0, split), reduction);
  const right = serialAllReduce(inputs.slice(split), reduction);
  combineElements(left, right, reduction);
  return left;
}

/**
 * Serial twin of the `ring` all-reduce: the sum of chunk c starts at rank c and goes once around.
 *
 * @param store What storing makes of a partial sum: bf16 rounds it.
 */
export function serialRingAllReduce<T extends Elements>(
  inputs: readonly T[],
  reduction: Reduction = "sum",
  store: (sum: number) => number = (sum) => sum,
): T {
  const size = inputs.length, { length } = inputs[0];
  const result = inputs[0].slice() as T;
  for (let chunk = 0; chunk < size; chunk++) {
    const start = lineChunkStart(length, size, chunk), end = lineChunkStart(length, size, chunk + 1);
    const sum = inputs[chunk].slice(start, end) as T;
    for (let hop = 1; hop < size; hop++) {
      combineElements(sum, inputs[(chunk + hop) % size].subarray(start, end) as T, reduction);
      sum.forEach((value: number, i: number) => sum[i] = store(value));
    }
    result.set(sum, start);
  }
  return result;
}

/** Serial twin of reduce-scatter: the chunk of each rank. */
export function serialReduceScatter<T extends Elements>(
  inputs: readonly T[],
  reduction: Reduction = "sum",
  row = 1,
): T[] {
  const sum = serialAllReduce(inputs, reduction);
  return inputs.map((_, i) => {
    const { start, length } = chunkOf(sum.length, inputs.length, i, row);
    return sum.slice(start, start + length) as T;
  });
}

/** Serial twin of all-gather: what every rank gets from the chunks. */
export function serialAllGather<T extends Elements>(chunks: readonly T[]): T {
  const result = emptyLike(chunks[0], chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    result.set(chunk, at);
    at += chunk.length;
  }
  return result;
}

/** Serial twin of all-to-all: what each rank gets. */
export function serialAllToAll<T extends Elements>(inputs: readonly T[]): T[] {
  return inputs.map((_, i) => {
    const { start, length } = chunkOf(inputs[0].length, inputs.length, i);
    return serialAllGather(inputs.map((input) => input.subarray(start, start + length) as T));
  });
}

function combineElements(into: Elements, from: Elements, reduction: Reduction): void {
  for (let i = 0; i < into.length; i++) {
    into[i] = reduction === "sum" ? into[i] + from[i] : Math.max(into[i], from[i]);
  }
}

function emptyLike<T extends Elements>(like: T, length: number): T {
  return new (like.constructor as { new (length: number): T })(length);
}
