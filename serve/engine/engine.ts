import { chooseToken } from "../choose_token.ts";
import type { EngineRank } from "./engine_rank.ts";
import { type EngineLimits, type ScheduledRun, Scheduler } from "./scheduler.ts";
import type { ChosenToken, EngineRequest, Finish, Sequence } from "./sequence.ts";

/** What a step has brought a request: a token, its end, or both. */
export interface EngineOutput {
  /** Of the request. */
  readonly id: string;
  /** The token that was chosen; none if it was one that ends the text. */
  readonly chosen?: ChosenToken;
  /** Why the text has ended with this. */
  readonly finish?: Finish;
}

/**
 * Goes on with many texts at a time, on all devices of a replica; it stands on the first. A step is one pass over rows of
 * several sequences: tokens that were just written, and chunks of prompts.
 *
 * The tokens of a request and their log-probabilities have the same bits alone and in any company, whatever the chunks, the
 * pages, and however often it had to give its pages back; in exact numerics on any layout, too.
 */
export class Engine {
  /** Longest text, prompt included. */
  readonly context: number;
  readonly #scheduler: Scheduler;
  readonly #rank: EngineRank;

  /** Nothing is open. */
  constructor(rank: EngineRank, limits: EngineLimits) {
    this.context = limits.context;
    this.#scheduler = new Scheduler(limits);
    this.#rank = rank;
  }

  /** Requests that are open. */
  get numOpen(): number {
    return this.#scheduler.numOpen;
  }

  /** Whether requests are open. */
  get isBusy(): boolean {
    return this.numOpen > 0;
  }

  /** Pages that no request has. */
  get numFreePages(): number {
    return this.#scheduler.numFreePages;
  }

  /** Times that a request gave its pages back and was read again. */
  get numPreemptions(): number {
    return this.#scheduler.numPreemptions;
  }

  /**
   * Takes a request.
   *
   * @throws {RangeError} If its prompt has no token, or leaves no room in a context that does not slide.
   */
  add(request: EngineRequest): void {
    const { prompt, id, slides, numTokens } = request,
      room = slides ? numTokens : this.context - prompt.length;
    if (prompt.length === 0 || room < 1) {
      throw new RangeError(
        `Cannot take request ${id}: its prompt has ${prompt.length} tokens, it may have 1 to ${
          this.context - 1
        }`,
      );
    }
    this.#scheduler.add({ ...request, numTokens: Math.min(numTokens, room) });
  }

  /** Ends a request that nobody wants any more; whether it was open. */
  abort(id: string): boolean {
    const sequence = this.#scheduler.find(id);
    if (sequence !== undefined) this.#scheduler.remove(sequence);
    return sequence !== undefined;
  }

  /**
   * One pass.
   *
   * @throws {RangeError} If a score is not finite: the model computes no sense.
   */
  step(): EngineOutput[] {
    const runs = this.#scheduler.next(), isLast = (run: ScheduledRun) => run.rows === run.sequence.numUnread;
    const scores = this.#rank.run(runs, isLast), outputs: EngineOutput[] = [];
    const complete = runs.filter(isLast);
    for (const { sequence, rows } of runs) sequence.numCached += rows;
    for (const [i, { sequence }] of complete.entries()) {
      const output = this.#choose(sequence, scores[i]);
      outputs.push(output);
      if (output.finish !== undefined) this.#scheduler.remove(sequence);
      else if (sequence.isOverfull) {
        sequence.slide();
        this.#scheduler.forget(sequence);
      }
    }
    return outputs;
  }

  #choose(sequence: Sequence, logits: Float32Array): EngineOutput {
    const { request, tokens, numWritten } = sequence, { id, endTokens = [], numTokens } = request;
    const overflow = logits.indexOf(-Infinity);
    if (overflow >= 0) {
      throw new RangeError(`Cannot choose a token: the logit of id ${overflow} is -Infinity`);
    }
    const token = chooseToken(logits, numWritten, request, tokens);
    if (endTokens.includes(token)) return { id, finish: "eos" };
    tokens.push(token);
    const chosen = { token, logprob: logProbability(logits, token) };
    return sequence.numWritten < numTokens ? { id, chosen } : { id, chosen, finish: "length" };
  }
}

/** Of a token, in nats: summed in float64, in the order of ids. */
function logProbability(logits: Float32Array, token: number): number {
  let max = -Infinity, sum = 0;
  for (let i = 0; i < logits.length; i++) max = Math.max(max, logits[i]);
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - max);
  return logits[token] - max - Math.log(sum);
}
