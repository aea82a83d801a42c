import type { GroupQueue } from "../group_queue.ts";
import type { Operation } from "./operation.ts";

/**
 * Does a rank's part of a broadcast: everybody but the root copies the root's elements.
 *
 * Cost: each rank but the root reads `length` elements of the root.
 */
export function workBroadcast(queue: GroupQueue, operation: Operation): boolean {
  const { detail: root, output } = operation;
  if (root === queue.index) return true;
  const bytes = operation.length * operation.elementBytes;
  queue.links[root].copyFromPeer(output, queue.peerOffsets[root], bytes);
  queue.ledger.bytesMoved += bytes;
  return true;
}
