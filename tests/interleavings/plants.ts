/** Planted bugs: words that do one thing wrong, so that the explorer can show that it finds it. */
import type { Words } from "../../collectives/mod.ts";

/** Forwards everything; the bugs override one thing each. */
export class WrappedWords implements Words {
  constructor(protected readonly inner: Words) {}
  load(index: number): number {
    return this.inner.load(index);
  }
  store(index: number, value: number): void {
    this.inner.store(index, value);
  }
  add(index: number, delta: number): number {
    return this.inner.add(index, delta);
  }
  compareExchange(index: number, expected: number, value: number): number {
    return this.inner.compareExchange(index, expected, value);
  }
  get(index: number): number {
    return this.inner.get(index);
  }
  set(index: number, value: number): void {
    this.inner.set(index, value);
  }
  park(index: number, seen: number, timeoutMs: number): void {
    this.inner.park(index, seen, timeoutMs);
  }
  notify(index: number): void {
    this.inner.notify(index);
  }
  pause(): void {
    this.inner.pause();
  }
}

/** Plain writes come after the store that should publish them. */
export class PublishBeforeWrite extends WrappedWords {
  #held: [number, number][] = [];
  override set(index: number, value: number): void {
    this.#held.push([index, value]);
  }
  override store(index: number, value: number): void {
    super.store(index, value);
    for (const [cell, held] of this.#held.splice(0)) super.set(cell, held);
  }
}

/** Nobody is woken. */
export class MissingNotify extends WrappedWords {
  override notify(): void {}
}

/** Whether somebody is parked is read before the word is stored. */
export class WakeBeforePublish extends WrappedWords {
  #held: [number, number] | undefined;
  readonly #word: number;
  constructor(inner: Words, word: number) {
    super(inner);
    this.#word = word;
  }
  override store(index: number, value: number): void {
    if (index === this.#word) this.#held = [index, value];
    else super.store(index, value);
  }
  override load(index: number): number {
    const value = super.load(index);
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) super.store(...held);
    return value;
  }
}

/** Loads of some words return one more than is there, as if a peer were a step ahead. */
export class OptimisticLoad extends WrappedWords {
  readonly #words: readonly number[];
  constructor(inner: Words, words: readonly number[]) {
    super(inner);
    this.#words = words;
  }
  override load(index: number): number {
    return super.load(index) + +this.#words.includes(index);
  }
}

/** Never sees that a word is set. */
export class BlindLoad extends WrappedWords {
  readonly #word: number;
  constructor(inner: Words, word: number) {
    super(inner);
    this.#word = word;
  }
  override load(index: number): number {
    const value = super.load(index);
    return index === this.#word ? 0 : value;
  }
}
