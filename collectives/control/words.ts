/**
 * Words in shared memory, and the only place of the library that touches `Atomics`.
 *
 * The protocols of this folder get their word operations as an object, so that
 * `tests/interleavings/explorer.ts` can run the shipped code over all interleavings in one thread.
 *
 * What every protocol rests on (ECMA-262, chapter "Memory Model"; details in docs/memory_model.md):
 * - `load`, `store`, `add` and `compareExchange` are sequentially consistent; no weaker order exists here;
 * - a `load` that returns what a `store` wrote orders everything before the store, also plain writes to other
 *   memories, before everything after the load;
 * - `get` and `set` are plain: whoever uses them says which word orders them.
 */
export interface Words {
  /** Reads a word, sequentially consistent. */
  load(index: number): number;
  /** Writes a word, sequentially consistent. */
  store(index: number, value: number): void;
  /** Adds to a word; returns the value before. */
  add(index: number, delta: number): number;
  /** Writes `value` if the word is `expected`; returns the value before. */
  compareExchange(index: number, expected: number, value: number): number;
  /** Reads plainly a cell that another word orders. */
  get(index: number): number;
  /** Writes plainly a cell that another word orders. */
  set(index: number, value: number): void;
  /** Sleeps until notified, but not if the word is no longer `seen`, and at most `timeoutMs`. */
  park(index: number, seen: number, timeoutMs: number): void;
  /** Wakes everybody who is parked on the word. */
  notify(index: number): void;
  /** Tells the core that this is a spin loop. */
  pause(): void;
}

/** The shipped {@link Words}: 32-bit integers of a SharedArrayBuffer. */
export class AtomicsWords implements Words {
  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  /** Reads a word, sequentially consistent. */
  load(index: number): number {
    return Atomics.load(this.#cells, index);
  }

  /** Writes a word, sequentially consistent. */
  store(index: number, value: number): void {
    Atomics.store(this.#cells, index, value);
  }

  /** Adds to a word; returns the value before. */
  add(index: number, delta: number): number {
    return Atomics.add(this.#cells, index, delta);
  }

  /** Writes `value` if the word is `expected`; returns the value before. */
  compareExchange(index: number, expected: number, value: number): number {
    return Atomics.compareExchange(this.#cells, index, expected, value);
  }

  /** Reads plainly a cell that another word orders. */
  get(index: number): number {
    return this.#cells[index];
  }

  /** Writes plainly a cell that another word orders. */
  set(index: number, value: number): void {
    this.#cells[index] = value;
  }

  /** Sleeps until notified, but not if the word is no longer `seen`, and at most `timeoutMs`. */
  park(index: number, seen: number, timeoutMs: number): void {
    Atomics.wait(this.#cells, index, seen, timeoutMs);
  }

  /** Wakes everybody who is parked on the word. */
  notify(index: number): void {
    Atomics.notify(this.#cells, index);
  }

  /** Tells the core that this is a spin loop. */
  pause(): void {
    Atomics.pause();
  }
}

/** Whether a counter that may wrap has reached `target`. */
export function hasReached(counter: number, target: number): boolean {
  return ((counter - target) | 0) >= 0;
}
