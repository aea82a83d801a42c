import type { Backend } from "../kernels/mod.ts";
import type { Decoder, DecoderModel, TokenPass } from "../models/mod.ts";
import { chooseToken } from "./choose_token.ts";
import { Tape } from "../nn/mod.ts";
import type { SampleOptions } from "./sample_options.ts";

/** Tokens of a pass over a prompt: as many as are left, the most first. */
const PREFILL_SIZES = [64, 8, 1];

/** A pass, ready to run. */
interface Recorded<Pass extends TokenPass> {
  readonly numTokens: number;
  readonly tape: Tape;
  readonly pass: Pass;
}

/**
 * Reads prompts many tokens at a time, and writes tokens one by one, with a KV cache.
 *
 * When the context is full, the last half of it is read again: positions are learned, so a cache cannot slide.
 *
 * Cost: a token that is written is a pass of its own, with attention to all cached ones.
 */
export class TokenWriter {
  /** Tokens that the cache has room for. */
  readonly context: number;
  readonly #backend: Backend;
  readonly #single: Recorded<Decoder>;
  readonly #prefills: readonly Recorded<TokenPass>[];
  readonly #history: number[] = [];
  #position = 0;

  /** Records the passes, and allocates their cache. */
  constructor(backend: Backend, model: DecoderModel) {
    this.#backend = backend;
    this.context = model.context;
    const tape = new Tape({ backend, training: false }), pass = model.decoder(tape);
    this.#single = { numTokens: 1, tape, pass };
    this.#prefills = PREFILL_SIZES.filter((size) => size < model.context).map((numTokens) => {
      // Each token is a unit of its own, whose experts have room for it.
      const tape = new Tape({ backend, training: false, placement: { unitsPerRow: numTokens } });
      return { numTokens, tape, pass: model.prefill(tape, numTokens, pass) };
    });
  }

  /** Reads one token; afterwards {@link logits} score the next one. */
  read(token: number): void {
    this.readAll([token]);
  }

  /** Reads tokens, at least one, with the end of {@link read} of each: the cache holds the same ones. */
  readAll(tokens: readonly number[]): void {
    for (const token of tokens) this.#history.push(token);
    const end = this.#position + tokens.length;
    const unread = end <= this.context ? tokens.length : this.#positionAfter(end);
    if (end > this.context) this.#position = 0;
    const rest = this.#history.slice(-unread), last = rest.pop()!;
    for (const recorded of this.#prefills) {
      while (rest.length >= recorded.numTokens) this.#run(recorded, rest.splice(0, recorded.numTokens));
    }
    this.#run(this.#single, [last]);
  }

  /** Begins another text. */
  forget(): void {
    this.#history.length = this.#position = 0;
  }

  /** Scores of the next token; valid until the next {@link read}. */
  get logits(): Float32Array {
    return this.#backend.heap.f32(this.#single.pass.logits.span);
  }

  /**
   * Yields the tokens that follow the prompt, up to one that ends the text.
   *
   * @throws {RangeError} If a score is not finite: the model computes no sense.
   */
  *write({ prompt, numTokens, endTokens = [], ...options }: SampleOptions): Generator<number> {
    this.readAll(prompt);
    for (let i = 0; i < numTokens; i++) {
      const { logits } = this, overflow = logits.indexOf(-Infinity);
      if (overflow >= 0) {
        throw new RangeError(`Cannot choose a token: the logit of id ${overflow} is -Infinity`);
      }
      const token = chooseToken(logits, i, options, this.#history);
      if (endTokens.includes(token)) return;
      yield token;
      if (i + 1 < numTokens) this.read(token);
    }
  }

  /** Gives the memory of the passes and their cache back. */
  close(): void {
    for (const { tape } of this.#prefills) tape.release();
    this.#single.tape.release();
  }

  /** Tokens in the cache after `end`, more than it holds, were read one by one: a half, then one more at a time. */
  #positionAfter(end: number): number {
    const half = Math.ceil(this.context / 2);
    return half + (end - this.context - 1) % (this.context - half + 1);
  }

  #run({ tape, pass }: Recorded<TokenPass>, tokens: readonly number[]): void {
    this.#backend.heap.i32(pass.ids.span).set(tokens);
    pass.setPosition(this.#position);
    tape.forward();
    this.#position += tokens.length;
  }
}
