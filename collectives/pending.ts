/** What an operation belongs to: the queue of a group, or the end of a channel. */
export interface PendingOwner {
  /** Whether the operation is complete, after going on as far as possible. */
  isComplete(sequence: number): boolean;
  /** Waits until the operation is complete. */
  waitFor(sequence: number): void;
}

/** An announced operation that is not waited for yet. */
export class Pending {
  readonly #owner: PendingOwner;
  readonly #sequence: number;

  /** Made by the `start...` operations of a group. */
  constructor(owner: PendingOwner, sequence: number) {
    this.#owner = owner;
    this.#sequence = sequence;
  }

  /** Goes on as far as possible without waiting; true when the operation is complete. */
  poll(): boolean {
    return this.#owner.isComplete(this.#sequence);
  }

  /** Waits until the operation is complete. */
  wait(): void {
    this.#owner.waitFor(this.#sequence);
  }
}
