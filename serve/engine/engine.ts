import type { Backend } from "../../kernels/mod.ts";
import type { DecoderModel } from "../../models/mod.ts";
import { chooseToken } from "../choose_token.ts";
import { RowPasses } from "./row_passes.ts";
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
 * Goes on with many texts at a time, on one device. A step is one pass over rows of several sequences: tokens that were
 * just written, and chunks of prompts.
 *
 * The tokens of a request and their log-probabilities have the same bits alone and in any company, whatever the chunks, the
 * pages, and however often it had to give its pages back.
 */
export class Engine {
  /** Longest text, prompt included. */
  readonly context: number;
  readonly #scheduler: Scheduler;
  readonly #passes: RowPasses;

  /** Allocates pages, and records all passes. */
  constructor(backend: Backend, model: DecoderModel, limits: EngineLimits) {
    this.context = model.context;
    this.#scheduler = new Scheduler(limits);
    this.#passes = new RowPasses(backend, model, limits);
  }

  /** Whether requests are open. */
  get isBusy(): boolean {
    return this.#scheduler.numOpen > 0;
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
   * Takes a request; its text ends with the context.
   *
   * @throws {RangeError} If its prompt has no token, or leaves no room in the context.
   */
  add(request: EngineRequest): void {
    const { prompt, id } = request, room = this.context - prompt.length;
    if (prompt.length === 0 || room < 1) {
      throw new RangeError(
        `Cannot take request ${id}: its prompt has ${prompt.length} tokens, it may have 1 to ${
          this.context - 1
        }`,
      );
    }
    this.#scheduler.add({ ...request, numTokens: Math.min(request.numTokens, room) });
  }

  /** Ends a request that nobody wants any more; whether it was open. */
  abort(id: string): boolean {
    const sequence = this.#scheduler.find(id);
    if (sequence !== undefined) this.#scheduler.remove(sequence);
    return sequence !== undefined;
  }

  /** One pass. */
  step(): EngineOutput[] {
    const runs = this.#scheduler.next(), isLast = (run: ScheduledRun) => run.rows === run.sequence.numUnread;
    const scores = this.#passes.run(runs, isLast), outputs: EngineOutput[] = [];
    const complete = runs.filter(isLast);
    for (const { sequence, rows } of runs) sequence.numCached += rows;
    for (const [i, { sequence }] of complete.entries()) {
      const output = this.#choose(sequence, scores[i]);
      outputs.push(output);
      if (output.finish !== undefined) this.#scheduler.remove(sequence);
    }
    return outputs;
  }

  #choose(sequence: Sequence, logits: Float32Array): EngineOutput {
    const { request, tokens, numWritten } = sequence, { id, endTokens = [], numTokens } = request;
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
