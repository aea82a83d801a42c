import { StreamDecoder, type Tokenizer } from "../tokenizers/mod.ts";

/** The text of tokens as they come, up to a string that ends it. */
export class TextStream {
  readonly #decoder: StreamDecoder;
  readonly #stops: readonly string[];
  #held = "";
  #isEnded = false;

  /**
   * Begins a text.
   *
   * @param stops Strings that end the text and are no part of it.
   */
  constructor(tokenizer: Tokenizer, stops: readonly string[] = []) {
    this.#decoder = new StreamDecoder(tokenizer);
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** A string that ends the text has come. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Text that is complete with this token, and can be no part of a string that ends it. */
  next(token: number): string {
    return this.#isEnded ? "" : this.#take(this.#decoder.next(token), false);
  }

  /** What is left at the end. */
  end(): string {
    return this.#isEnded ? "" : this.#take(this.#decoder.end(), true);
  }

  #take(fresh: string, isLast: boolean): string {
    const text = this.#held + fresh;
    const places = this.#stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.#isEnded = true;
      return text.slice(0, Math.min(...places));
    }
    const numHeld = isLast ? 0 : Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - numHeld);
    return text.slice(0, text.length - numHeld);
  }
}

/** Characters at the end of a text that a stop may begin with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
