/** What stands around a text. */
export interface SpecialIds {
  /** Begins a text, where the tokenizer puts it there. */
  readonly prefix: readonly number[];
  /** Ends it, likewise. */
  readonly suffix: readonly number[];
}

/** A kind of tokens: text to ids, ids to text. */
export interface Tokenizer {
  /** Name for people: `bytes`, or a path. */
  readonly name: string;
  /** Tells tokenizers apart: those of one hash give one text the same ids. */
  readonly hash: string;
  /** Every id is smaller. */
  readonly vocab: number;
  /** What {@link encode} puts around a text if asked. */
  readonly special: SpecialIds;
  /** Texts may be cut where `splitPoints` says, and have the same ids. */
  readonly isSplittable: boolean;
  /**
   * The ids of a text; names of special tokens in it are these tokens.
   *
   * @param isWhole Puts special ids around it, as the tokenizer does; by default only the text's own.
   */
  encode(text: string, isWhole?: boolean): number[];
  /** The text of ids, without special tokens. */
  decode(ids: readonly number[]): string;
  /** The id of a token by its name; undefined if there is none. */
  idOf(token: string): number | undefined;
  /** The name of a token; undefined if there is none. */
  nameOf(id: number): string | undefined;
}

/** Ids that are looked at again for what comes next: spaces and characters depend on their neighbours. */
const KEPT = 4;
/** What decoders write for bytes that are no character, or not one yet. */
const REPLACEMENT = "\ufffd";

/** Decodes ids as they come, and never a part of a character: the texts of all, one after the other, are that of all ids. */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  #ids: number[] = [];
  /** How much of their text has been given out. */
  #given = "";

  /** Begins a text. */
  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Text that is complete with this id; empty while a character is not. */
  next(id: number): string {
    this.#ids.push(id);
    const text = this.#tokenizer.decode(this.#ids);
    return text.endsWith(REPLACEMENT) ? "" : this.#give(text);
  }

  /** What is left at the end. */
  end(): string {
    return this.#give(this.#tokenizer.decode(this.#ids));
  }

  #give(text: string): string {
    const fresh = text.slice(this.#given.length);
    const first = Math.max(0, this.#ids.length - KEPT);
    // A window that begins inside a character would not decode as the whole does.
    const kept = this.#ids.slice(first), keptText = this.#tokenizer.decode(kept);
    if (text.endsWith(keptText) && !keptText.includes(REPLACEMENT)) {
      [this.#ids, this.#given] = [kept, keptText];
    } else this.#given = text;
    return fresh;
  }
}
