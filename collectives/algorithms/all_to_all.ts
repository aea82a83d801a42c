import { chunkStart } from "./chunks.ts";
import type { GroupQueue } from "../group_queue.ts";
import type { Operation } from "./operation.ts";

/**
 * Does a rank's part of an all-to-all: member i pulls chunk i of every member's input; the chunk of member j becomes
 * the j-th of its output.
 *
 * Cost: each rank reads (n - 1)/n x length elements of its peers.
 */
export function workAllToAll(queue: GroupQueue, operation: Operation): boolean {
  const { index, size } = queue;
  const { elementBytes, length, input, output } = operation;
  const start = chunkStart(length, size, index);
  const bytes = (chunkStart(length, size, index + 1) - start) * elementBytes;
  for (let turn = 0; turn < size; turn++) {
    const i = (index + 1 + turn) % size;
    const from = (i === index ? input : queue.peerOffsets[i]) + start * elementBytes;
    queue.links[i].copyFromPeer(output + i * bytes, from, bytes);
    if (i !== index) queue.ledger.bytesMoved += bytes;
  }
  return true;
}
