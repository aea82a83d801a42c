import type { SampleOptions } from "../sample_options.ts";

/** A text to go on with. */
export interface EngineRequest extends SampleOptions {
  /** Whose it is: no two that are open at a time have the same. */
  readonly id: string;
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
  /** Tokens whose keys and values are in the pages. */
  numCached = 0;

  /** Nothing is cached. */
  constructor(request: EngineRequest) {
    this.request = request;
    this.tokens = [...request.prompt];
  }

  /** Tokens that were written. */
  get numWritten(): number {
    return this.tokens.length - this.request.prompt.length;
  }

  /** Tokens that a pass must still read before the next one is chosen: at least one. */
  get numUnread(): number {
    return this.tokens.length - this.numCached;
  }
}
