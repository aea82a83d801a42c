import { NO_PREFIX, PagePool } from "./page_pool.ts";
import { type EngineRequest, Sequence } from "./sequence.ts";

/** What a step may hold. */
export interface EngineLimits {
  /** Sequences at a time. */
  readonly maxSequences: number;
  /** Rows of a step. */
  readonly maxRows: number;
  /** Rows of one sequence in a step. */
  readonly prefillChunk: number;
  /** Tokens of a sequence that the cache holds. */
  readonly context: number;
  /** Tokens of a page. */
  readonly pageTokens: number;
  /** Pages of the pool. */
  readonly numPages: number;
  /** Pages of prompts that begin alike are shared; by default they are. It changes no bit. */
  readonly sharesPrefixes?: boolean;
  /** Requests may ask for the log-probabilities of their prompts; by default not. */
  readonly scoresPrompts?: boolean;
}

/** Most rows of a step whose scores are wanted. */
export function mostWanted({ maxRows, maxSequences, scoresPrompts }: EngineLimits): number {
  return scoresPrompts ? maxRows : Math.min(maxRows, maxSequences);
}

/** Rows of a sequence in a step: tokens from `first` on. */
export interface ScheduledRun {
  /** Whose rows they are. */
  readonly sequence: Sequence;
  /** Place of the first in its sequence. */
  readonly first: number;
  /** How many. */
  readonly rows: number;
}

/**
 * Which rows come next: those who came first go first; sequences that write go before those that read, so a long prompt
 * holds nobody up; what fits is filled with chunks of prompts. If pages run out, the sequence that came last gives its own
 * back, waits, and is read again later.
 *
 * Source: Yu et al., Orca, OSDI 2022, section 4.1 (a schedule for each step); Agrawal et al., Sarathi-Serve, OSDI 2024,
 * section 4 (chunks of prompts beside tokens that are written).
 */
export class Scheduler {
  readonly #limits: EngineLimits;
  readonly #pool: PagePool;
  readonly #waiting: Sequence[] = [];
  /** In the order in which they came. */
  readonly #running: Sequence[] = [];
  /** Times that a sequence gave its pages back. */
  numPreemptions = 0;
  /** Tokens that were in pages already when their sequence began. */
  numReused = 0;

  /** Nothing waits. */
  constructor(limits: EngineLimits) {
    this.#limits = limits;
    this.#pool = new PagePool(limits.numPages);
  }

  /** Pages that nobody has. */
  get numFreePages(): number {
    return this.#pool.numFree;
  }

  /** Sequences that are not done. */
  get numOpen(): number {
    return this.#waiting.length + this.#running.length;
  }

  /**
   * Takes a request.
   *
   * @throws {RangeError} If all pages together are too few for it.
   */
  add(request: EngineRequest): void {
    const { pageTokens, numPages, context } = this.#limits;
    const tokens = Math.min(request.prompt.length + request.numTokens, context);
    const needed = Math.ceil(tokens / pageTokens);
    if (needed > numPages) {
      throw new RangeError(
        `Cannot take request ${request.id}: its ${tokens} tokens need ${needed} pages, there are ${numPages}`,
      );
    }
    this.#waiting.push(new Sequence(request, context));
  }

  /** Takes a sequence out: it is done, or nobody wants it any more. */
  remove(sequence: Sequence): void {
    for (const list of [this.#running, this.#waiting]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    this.forget(sequence);
  }

  /** Gives the pages of a sequence back: what it still needs is read again. */
  forget(sequence: Sequence): void {
    this.#pool.release(sequence.pages);
    sequence.numCached = sequence.prefixes.length = 0;
  }

  /** Says that rows of a step are in their pages now. */
  advance({ sequence, rows }: ScheduledRun): void {
    const { pages, prefixes } = sequence, { pageTokens, sharesPrefixes = true } = this.#limits;
    sequence.numCached += rows;
    while (sharesPrefixes && (prefixes.length + 1) * pageTokens <= sequence.numCached) {
      const i = prefixes.length, tokens = this.#tokensOf(sequence, i);
      prefixes.push(this.#pool.learn(pages[i], prefixes.at(-1) ?? NO_PREFIX, tokens));
    }
  }

  /** Takes the pages that hold the first tokens of a sequence already; one token at least is left to read. */
  #reuse(sequence: Sequence): void {
    const { pages, prefixes, request } = sequence, { pageTokens, sharesPrefixes = true } = this.#limits;
    // Who wants all scores has all rows computed.
    if (!sharesPrefixes || request.promptLogprobs || sequence.numCached > 0) return;
    while (sequence.numUnread > pageTokens) {
      const found = this.#pool.share(prefixes.at(-1) ?? NO_PREFIX, this.#tokensOf(sequence, pages.length));
      if (found === undefined) return;
      pages.push(found.page);
      prefixes.push(found.prefix);
      sequence.numCached += pageTokens;
      this.numReused += pageTokens;
    }
  }

  /** The tokens of a page of a sequence. */
  #tokensOf({ tokens, start }: Sequence, page: number): number[] {
    const { pageTokens } = this.#limits, first = start + page * pageTokens;
    return tokens.slice(first, first + pageTokens);
  }

  /** The sequence of a request that is open. */
  find(id: string): Sequence | undefined {
    return [...this.#running, ...this.#waiting].find(({ request }) => request.id === id);
  }

  /** The rows of the next step, with pages for all of them; none if nothing is open. */
  next(): ScheduledRun[] {
    const { maxSequences, maxRows, prefillChunk } = this.#limits, runs: ScheduledRun[] = [];
    let left = maxRows;
    const schedule = (sequence: Sequence, rows: number) => {
      runs.push({ sequence, first: sequence.numCached, rows });
      left -= rows;
    };
    const writing = this.#running.filter(({ numUnread }) => numUnread === 1);
    for (const sequence of writing) {
      if (left > 0 && this.#makeRoom(sequence, 1, runs)) schedule(sequence, 1);
    }
    const reading = this.#running.filter((sequence) => !writing.includes(sequence));
    for (const sequence of reading) {
      const rows = Math.min(sequence.numUnread, prefillChunk, left);
      if (rows > 0 && this.#makeRoom(sequence, rows, runs)) schedule(sequence, rows);
    }
    while (left > 0 && this.#waiting.length > 0 && this.#running.length < maxSequences) {
      const sequence = this.#waiting[0];
      this.#reuse(sequence);
      const rows = Math.min(sequence.numUnread, prefillChunk, left);
      // Who begins takes no pages from others.
      if (!this.#grow(sequence, rows)) {
        this.forget(sequence);
        break;
      }
      this.#running.push(this.#waiting.shift()!);
      schedule(sequence, rows);
    }
    return runs.filter(({ sequence }) => this.#running.includes(sequence));
  }

  /** Pages for more rows of a running sequence; false if it had to give up its own. */
  #makeRoom(sequence: Sequence, rows: number, runs: ScheduledRun[]): boolean {
    while (this.#running.includes(sequence)) {
      if (this.#grow(sequence, rows)) return true;
      const last = this.#running.at(-1)!;
      this.#preempt(last);
      const at = runs.findIndex((run) => run.sequence === last);
      if (at >= 0) runs.splice(at, 1);
    }
    return false;
  }

  #preempt(sequence: Sequence): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#waiting.unshift(sequence);
    this.forget(sequence);
    this.numPreemptions++;
  }

  #grow({ pages, numCached }: Sequence, rows: number): boolean {
    const needed = Math.ceil((numCached + rows) / this.#limits.pageTokens);
    if (needed - pages.length > this.#pool.numFree) return false;
    while (pages.length < needed) pages.push(this.#pool.take()!);
    return true;
  }
}
