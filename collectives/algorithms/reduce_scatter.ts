import { blockElements, type Reducer } from "./all_reduce.ts";
import { chunkStart } from "./chunks.ts";
import type { GroupQueue } from "../group_queue.ts";
import type { Operation } from "./operation.ts";

/**
 * Does a rank's part of a reduce-scatter: pulls its chunk from all peers, summed in the canonical tree.
 *
 * Cost: each rank reads (n - 1)/n x length elements of its peers.
 */
export function workReduceScatter(queue: GroupQueue, operation: Operation, reducer: Reducer): boolean {
  const { index, size } = queue;
  const { elementBytes, length, input, output, detail: row } = operation;
  const start = chunkStart(length, size, index, row), end = chunkStart(length, size, index + 1, row);
  const block = blockElements(operation);
  for (let at = start; at < end; at += block) {
    const count = Math.min(block, end - at), delta = at * elementBytes;
    const own = output + (at - start) * elementBytes;
    if (own !== input + delta) queue.links[index].copyFromPeer(own, input + delta, count * elementBytes);
    reducer.reduceBlock(queue, operation, own, delta, count);
  }
  return true;
}
