import { AtomicsWords, type Words } from "./control/words.ts";

/**
 * The numbers 0, 1, 2, ..., each given once, to whoever asks first: how ranks take work from one list.
 *
 * Cost: one atomic addition each.
 */
export class Tickets {
  readonly #words: Words;

  /** Over a shared word, an array of one element that is 0 before anybody asks. */
  constructor(word: Int32Array) {
    this.#words = new AtomicsWords(word.buffer as SharedArrayBuffer);
  }

  /** The next number. */
  take(): number {
    return this.#words.add(0, 1);
  }
}
