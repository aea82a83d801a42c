/** Events that may wait to be taken before their sender is held back. */
const CAPACITY = 64;

/**
 * Events on their way from a run to whoever iterates it.
 *
 * Not a `ReadableStream`, which would hold the sender back as well: its `error()` throws away what is queued, but the events
 * before a failure (a checkpoint, the last step) are those that matter then; and it has one reader for ever, but a run may
 * be asked for its events by one after the other.
 */
export class EventQueue<Event> implements AsyncIterable<Event> {
  readonly #events: Event[] = [];
  #wake: () => void = () => {};
  #room: (() => void)[] = [];
  #error: Error | undefined;
  #isEnded = false;
  #isDraining = false;

  /** Adds an event; the promise resolves when there is room for another. */
  push(event: Event): Promise<void> | void {
    if (this.#isDraining) return;
    this.#events.push(event);
    this.#wake();
    if (this.#events.length > CAPACITY) return new Promise((resolve) => this.#room.push(resolve));
  }

  /** No event follows. */
  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /** The run failed: whoever iterates gets the error after the events before it. */
  fail(error: Error): void {
    this.#error = error;
    this.end();
  }

  /** Nobody iterates any more: drops what there is and what comes. */
  drain(): void {
    this.#isDraining = true;
    this.#events.length = 0;
    this.#makeRoom();
  }

  /** Takes events until the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Event> {
    while (true) {
      while (this.#events.length > 0) {
        const event = this.#events.shift()!;
        this.#makeRoom();
        yield event;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#isEnded) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  #makeRoom(): void {
    for (const resolve of this.#room.splice(0)) resolve();
  }
}
