import type { Prefix } from "./page_pool.ts";
import type { SampleOptions } from "../sample_options.ts";

/** A text to go on with. */
export interface EngineRequest extends SampleOptions {
  /** Whose it is: no two that are open at a time have the same. */
  readonly id: string;
  /** When the context is full, its last half is read again, and the text goes on; by default the text ends. */
  readonly slides?: boolean;
  /** Asks for the log-probability of each token of the prompt but the first. */
  readonly promptLogprobs?: boolean;
}

/** A token that was chosen, and what the model thought of it. */
export interface ChosenToken {
  /** Its id. */
  readonly token: number;
  /** Log of its probability by the model: of the softmax of the logits as they are, in nats. */
  readonly logprob: number;
}

/** Why a text has ended: a token that ends it, or as long as it may be. */
export type Finish = "eos" | "length";

/** A request on its way. */
export class Sequence {
  /** What was asked for. */
  readonly request: EngineRequest;
  /** Prompt and what was written. */
  readonly tokens: number[];
  /** Pages of its keys and values, in order. */
  readonly pages: number[] = [];
  /** First token that counts: those before it are forgotten. */
  start: number;
  /** Tokens from `start` on whose keys and values are in the pages. */
  numCached = 0;
  /** Of each full page that is known, the prefix of what comes behind it. */
  readonly prefixes: Prefix[] = [];
  /** Tokens of the prompt whose log-probabilities are known. */
  numScored = 1;
  readonly #context: number;

  /**
   * Nothing is cached.
   *
   * @param context Tokens that count at most.
   */
  constructor(request: EngineRequest, context: number) {
    this.request = request;
    this.tokens = [...request.prompt];
    this.#context = context;
    this.start = startAfter(this.#end, context);
  }

  /** Whether more tokens count than the context has room for. */
  get isOverfull(): boolean {
    return this.#end - this.start > this.#context;
  }

  /** Forgets the first half of an overfull context. */
  slide(): void {
    this.start = this.tokens.length - halfOf(this.#context);
  }

  /** Tokens that were written. */
  get numWritten(): number {
    return this.tokens.length - this.request.prompt.length;
  }

  /** Tokens that a pass must still read before the next one is chosen: at least one. */
  get numUnread(): number {
    return this.#end - this.start - this.numCached;
  }

  /** Tokens that are read: where nothing is written, nobody needs what follows the last one. */
  get #end(): number {
    return this.request.numTokens > 0 ? this.tokens.length : this.tokens.length - 1;
  }
}

/** Tokens that are kept when a context is full. */
function halfOf(context: number): number {
  return Math.ceil(context / 2);
}

/** First token that counts of a text that is read at once: the one that would if it had come token by token. */
function startAfter(length: number, context: number): number {
  if (length <= context) return 0;
  const half = halfOf(context);
  return length - half - (length - context - 1) % (context - half + 1);
}
