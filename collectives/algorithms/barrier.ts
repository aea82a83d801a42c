/**
 * A barrier is an operation of a group without payload.
 *
 * Entering it announces it, and an operation is entered when all members have announced it (`group_queue.ts`): there
 * is nothing left to do. As operations complete in order, a barrier also completes those announced before it.
 */
export function workBarrier(): boolean {
  return true;
}
