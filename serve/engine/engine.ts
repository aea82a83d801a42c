import { chooseToken } from "../choose_token.ts";
import type { EngineRank } from "./engine_rank.ts";
import { type EngineLimits, type ScheduledRun, Scheduler } from "./scheduler.ts";
import type { ChosenToken, EngineRequest, Finish, Sequence } from "./sequence.ts";

/** What a step has brought a request: a token, its end, or both. */
export interface EngineOutput {
  /** Of the request. */
  readonly id: string;
  /** Log-probabilities of tokens of the prompt, from the second on, if they were asked for: the next ones. */
  readonly promptLogprobs?: readonly number[];
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

  /** Tokens that were in pages already when their request began. */
  get numReused(): number {
    return this.#scheduler.numReused;
  }

  /**
   * Takes a request.
   *
   * @throws {RangeError} If its prompt has no token, or leaves no room in a context that does not slide.
   */
  add(request: EngineRequest): void {
    const { prompt, id, slides, numTokens } = request,
      room = slides ? numTokens : this.context - prompt.length;
    // Where nothing is written, the last token is not read.
    const [least, most] = numTokens === 0 ? [2, this.context + 1] : [1, this.context - 1];
    if (prompt.length < least || (!slides && prompt.length > most)) {
      throw new RangeError(
        `Cannot take request ${id}: its prompt has ${prompt.length} tokens, it may have ${least} to ${most}`,
      );
    }
    this.#scheduler.add({ ...request, numTokens: Math.max(0, Math.min(numTokens, room)) });
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
    const runs = this.#scheduler.next(),
      scores = this.#rank.run(runs, wantedOf),
      outputs: EngineOutput[] = [];
    let next = 0;
    for (const run of runs) {
      const own = scores.slice(next, next += wantedOf(run)), isLast = run.rows === run.sequence.numUnread;
      const promptLogprobs = scorePrompt(run, own), { sequence } = run;
      this.#scheduler.advance(run);
      const output = isLast ? this.#choose(sequence, own.at(-1)) : { id: sequence.request.id };
      if (promptLogprobs.length > 0) outputs.push({ ...output, promptLogprobs });
      else if (isLast) outputs.push(output);
      if (output.finish !== undefined) this.#scheduler.remove(sequence);
      else if (sequence.isOverfull) {
        sequence.slide();
        this.#scheduler.forget(sequence);
      }
    }
    return outputs;
  }

  #choose(sequence: Sequence, logits: Float32Array | undefined): EngineOutput {
    const { request, tokens, numWritten } = sequence, { id, endTokens = [], numTokens } = request;
    if (numTokens === 0 || logits === undefined) return { id, finish: "length" };
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

/** How many of the last rows of a run have their scores computed. */
function wantedOf({ sequence, rows }: ScheduledRun): number {
  if (sequence.request.promptLogprobs) return rows;
  return rows === sequence.numUnread && sequence.request.numTokens > 0 ? 1 : 0;
}

/** Log-probabilities of the tokens of a prompt that come after rows, those that are not known yet. */
function scorePrompt({ sequence, first }: ScheduledRun, scores: readonly Float32Array[]): number[] {
  const { request: { prompt, promptLogprobs = false }, start } = sequence, found: number[] = [];
  for (let t = 0; promptLogprobs && t < scores.length; t++) {
    const place = start + first + t + 1;
    if (place !== sequence.numScored || place >= prompt.length) continue;
    found.push(logProbability(scores[t], prompt[place]));
    sequence.numScored++;
  }
  return found;
}

/** Of a token, in nats: summed in float64, in the order of ids. */
function logProbability(logits: Float32Array, token: number): number {
  let max = -Infinity, sum = 0;
  for (let i = 0; i < logits.length; i++) max = Math.max(max, logits[i]);
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - max);
  return logits[token] - max - Math.log(sum);
}
