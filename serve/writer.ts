import type { Backend } from "../kernels/mod.ts";
import type { Decoder, DecoderModel } from "../models/mod.ts";
import { chooseToken } from "./choose_token.ts";
import { Tape } from "../nn/mod.ts";
import type { SampleOptions } from "./sample_options.ts";

/**
 * Writes tokens one at a time with a KV cache.
 *
 * When the context is full, the last half of it is read again: positions are learned, so a cache cannot slide.
 *
 * Cost: one pass of one token each, attention to all cached ones.
 */
export class TokenWriter {
  readonly #backend: Backend;
  readonly #decoder: Decoder;
  readonly #tape: Tape;
  /** Tokens that the cache has room for. */
  readonly context: number;
  readonly #history: number[] = [];
  #position = 0;

  /** Records the pass of one token, and allocates its cache. */
  constructor(backend: Backend, model: DecoderModel) {
    this.#backend = backend;
    this.#tape = new Tape({ backend, training: false });
    this.#decoder = model.decoder(this.#tape);
    this.context = model.context;
  }

  /** Reads one token; afterwards {@link logits} score the next one. */
  read(token: number): void {
    this.#history.push(token);
    if (this.#position === this.context) {
      const kept = this.#history.slice(-Math.ceil(this.context / 2));
      this.#position = 0;
      for (const old of kept) this.#step(old);
    } else this.#step(token);
  }

  /** Scores of the next token; valid until the next {@link read}. */
  get logits(): Float32Array {
    return this.#backend.heap.f32(this.#decoder.logits.span);
  }

  /**
   * Yields the tokens that follow the prompt, up to one that ends the text.
   *
   * @throws {RangeError} If a score is not finite: the model computes no sense.
   */
  *write({ prompt, numTokens, endTokens = [], ...options }: SampleOptions): Generator<number> {
    for (const token of prompt) this.read(token);
    for (let i = 0; i < numTokens; i++) {
      const { logits } = this, overflow = logits.indexOf(-Infinity);
      if (overflow >= 0) {
        throw new RangeError(`Cannot choose a token: the logit of id ${overflow} is -Infinity`);
      }
      const token = chooseToken(logits, i, options);
      if (endTokens.includes(token)) return;
      yield token;
      if (i + 1 < numTokens) this.read(token);
    }
  }

  /** Gives the memory of the pass and its cache back. */
  close(): void {
    this.#tape.release();
  }

  #step(token: number): void {
    this.#backend.heap.i32(this.#decoder.id.span)[0] = token;
    this.#decoder.setPosition(this.#position++);
    this.#tape.forward();
  }
}
