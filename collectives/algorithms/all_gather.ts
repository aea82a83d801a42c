import { chunkStart } from "./chunks.ts";
import type { GroupQueue } from "../group_queue.ts";
import type { Operation } from "./operation.ts";

/**
 * Does a rank's part of an all-gather: copies the chunks of all members, its own included, into its output.
 *
 * It starts at its right neighbour, so that not everybody reads the same memory at once.
 *
 * Cost: each rank reads (n - 1)/n x length elements of its peers.
 */
export function workAllGather(queue: GroupQueue, operation: Operation): boolean {
  const { index, size } = queue;
  const { elementBytes, length, input, output, detail: row } = operation;
  for (let turn = 0; turn < size; turn++) {
    const i = (index + 1 + turn) % size;
    const start = chunkStart(length, size, i, row);
    const bytes = (chunkStart(length, size, i + 1, row) - start) * elementBytes;
    const to = output + start * elementBytes;
    if (i === index && to === input) continue;
    queue.links[i].copyFromPeer(to, i === index ? input : queue.peerOffsets[i], bytes);
    if (i !== index) queue.ledger.bytesMoved += bytes;
  }
  return true;
}
