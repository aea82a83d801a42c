import { type ControlBlock, MAX_ERROR_BYTES } from "./control_block.ts";

/** Another rank failed first; the message says which, and why. */
export class AbortError extends Error {
  /** The class, in printed errors. */
  override name = "AbortError";
  /** The rank that failed first. */
  readonly rank: number;
  /** Its error text. */
  readonly reason: string;

  /** Names the rank that failed first and its error text. */
  constructor(rank: number, reason: string) {
    super(`Rank ${rank} failed first: ${reason}`);
    this.rank = rank;
    this.reason = reason;
  }
}

/** A wait that cannot end, or has lasted too long; the message names both sides. */
export class StallError extends Error {
  /** The class, in printed errors. */
  override name = "StallError";
}

/** Ranks of a group called different operations at the same place of their sequence. */
export class MismatchError extends Error {
  /** The class, in printed errors. */
  override name = "MismatchError";
}

/** Who failed first, and why. */
export interface FirstCause {
  /** The rank that failed first. */
  rank: number;
  /** Its error text. */
  reason: string;
}

/** Added to ABORT when the supervisor speaks for a rank that cannot. */
const BY_SUPERVISOR = 1 << 24;

/**
 * ABORT: 0 while the world runs, else who failed first; any agent may set it, so it is set by compare-exchange
 * (an RMW because all ranks and the supervisor are writers), and it never changes again.
 *
 * Words (per rank and one for the supervisor, written by that agent only, before ABORT)
 *   ERROR_LENGTH, ERROR_TEXT
 *
 * Protocol                                failing agent      others
 *   plain writes of ERROR_TEXT, LENGTH  ...... 1
 *   compareExchange ABORT 0 -> cause    ...... 2  [first cause]
 *   load ABORT                          ...........................  3  [abort?]
 *   plain reads of the text             ...........................  4
 *   If 3 sees 2, then 1 happens before 4. A text is written at most once: a rank fails once.
 *
 * Waiting      Nobody waits for ABORT; every wait reads it between its timed slices.
 * Checked by   tests/interleavings/abort_test.ts
 */
export class AbortWord {
  readonly #control: ControlBlock;

  /** Attaches to the word of a world. */
  constructor(control: ControlBlock) {
    this.#control = control;
  }

  /** Whether some rank has failed: the check inside every wait. */
  get isRaised(): boolean {
    return this.#control.words.load(this.#control.layout.abort) !== 0; // [abort?]
  }

  /** Reports that `rank` failed, called by that rank. Returns the first cause, which may be another rank. */
  raise(rank: number, reason: string): FirstCause {
    return this.#raise(rank, reason, rank, rank + 1);
  }

  /** Reports for a rank that cannot speak (terminated, out of memory), called by the supervisor. */
  raiseFor(rank: number, reason: string): FirstCause {
    const supervisor = this.#control.layout.topology.worldSize;
    return this.#raise(rank, reason, supervisor, rank + 1 + BY_SUPERVISOR);
  }

  /** Who failed first, if anybody did. */
  get firstCause(): FirstCause | undefined {
    const { words, layout } = this.#control;
    const value = words.load(layout.abort); // [abort?]
    if (value === 0) return undefined;
    const isSupervisor = value > BY_SUPERVISOR;
    const rank = isSupervisor ? value - BY_SUPERVISOR - 1 : value - 1;
    return { rank, reason: this.#reasonOf(isSupervisor ? layout.topology.worldSize : rank) };
  }

  /**
   * Throws if some rank has failed.
   *
   * @throws {AbortError} If so.
   */
  check(): void {
    if (!this.isRaised) return;
    const { rank, reason } = this.firstCause!;
    throw new AbortError(rank, reason);
  }

  #raise(rank: number, reason: string, author: number, value: number): FirstCause {
    const { words, layout } = this.#control;
    if (words.get(layout.errorLength(author)) === 0) {
      const bytes = this.#control.writeText(layout.errorText(author), reason || "unknown", MAX_ERROR_BYTES);
      words.set(layout.errorLength(author), bytes);
    }
    words.compareExchange(layout.abort, 0, value); // [first cause]
    return this.firstCause ?? { rank, reason };
  }

  #reasonOf(author: number): string {
    const { words, layout } = this.#control;
    return this.#control.readText(layout.errorText(author), words.get(layout.errorLength(author)));
  }
}
