import { now } from "../../kernels/mod.ts";
import { AbortError, type AbortWord, StallError } from "./abort.ts";
import type { ControlBlock } from "./control_block.ts";
import type { Ledger } from "./ledger.ts";
import { Patience } from "./patience.ts";
import type { RankStatus, WaitPoint } from "./status.ts";
import { readStatus } from "./status.ts";
import { WaitGraph } from "./wait_graph.ts";

/** How a rank waits. */
export interface WaitOptions {
  /** Looks before parking; few when there are more devices than cores. By default {@link SPIN_LIMIT}. */
  spinLimit?: number;
  /** A wait of this length is an error even if the peer may still be computing. By default one minute. */
  stallTimeoutMs?: number;
  /** Phases (`Device.enter`) that a peer may be in for any time: waits for it are no stalls. By default none. */
  untimedPhases?: readonly string[];
  /** A peer that has not started after this time is an error. By default ten seconds. */
  startTimeoutMs?: number;
  /** The clock, in milliseconds; the explorer has its own. */
  clock?: () => number;
}

/** Something that can be waited for. */
export interface Waitable {
  /** What is missing, valid when `poll` has returned false. */
  readonly at: WaitPoint;
  /** Goes on as far as possible without blocking; true when it has happened. */
  poll(): boolean;
}

/** About 50 us of looking: as long as a park and a wake-up take. */
export const SPIN_LIMIT = 2000;
/** Looks before the clock is read: about a microsecond. */
const UNTIMED_SPINS = 32;
/** A park ends after this time in any case, so that ABORT is read and `worker.terminate()` works. */
const PARK_SLICE_MS = 20;
/** The slice while other groups of the rank have operations that may be progressed. */
const BUSY_SLICE_MS = 1;
/** First look at the graph of waits, and the time between further ones. */
const FIRST_LOOK_MS = 100, LOOK_MS = 60;

/**
 * Waits of one rank: spin, then publish the wait and park in timed slices.
 *
 * Words
 *   the awaited word    written by the peer, which stores the word and then reads PARKED
 *   PARKED              number of ranks parked on the peer's words; an RMW because several may park
 *
 * Invariants
 *   I1  a rank is parked only while its wait is published and PARKED counts it
 *   I2  every loop reads ABORT, and no park is longer than a slice
 *
 * Protocol                              waiter              peer
 *   load the word: not there  ......... 1  [look]
 *   add PARKED + 1            ......... 2  [parking]
 *   park on the word as seen in 1  .... 3  [park]
 *   store the word            .............................. 4  [publish]
 *   load PARKED, notify if not 0  .......................... 5  [wake]
 *   Either 4 precedes 3, which then returns at once as the word has changed, or 3 precedes 4, and then 2 precedes 5,
 *   which notifies: no wake-up is lost. The timed slice is for ABORT, not for lost wake-ups.
 *
 * Waiting     is what this file is about; a wait that lasts walks the graph of waits (`wait_graph.ts`).
 * Checked by  tests/interleavings/channel_test.ts and barrier_test.ts (parks without timeouts)
 */
export class Waiter {
  readonly #control: ControlBlock;
  readonly #status: RankStatus;
  readonly #abort: AbortWord;
  readonly #ledger: Ledger;
  readonly #graph: WaitGraph;
  readonly #patience: Patience;
  readonly #rank: number;
  readonly #spinLimit: number;
  readonly #stallTimeoutMs: number;
  readonly #startTimeoutMs: number;
  readonly #clock: () => number;
  /** Progresses the other operations of this rank; true if some are pending. The endpoint sets it. */
  progressOthers: (current: Waitable) => boolean = () => false;

  /** Waits for one rank; the endpoint makes it. */
  constructor(
    parts: { control: ControlBlock; rank: number; status: RankStatus; abort: AbortWord; ledger: Ledger },
    options: WaitOptions = {},
  ) {
    this.#control = parts.control;
    this.#rank = parts.rank;
    this.#status = parts.status;
    this.#abort = parts.abort;
    this.#ledger = parts.ledger;
    this.#graph = new WaitGraph(parts.control, parts.rank);
    this.#patience = new Patience(parts.control, options.untimedPhases ?? []);
    this.#spinLimit = options.spinLimit ?? SPIN_LIMIT;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 60_000;
    this.#startTimeoutMs = options.startTimeoutMs ?? 10_000;
    this.#clock = options.clock ?? now;
  }

  /**
   * Returns when `what` has happened.
   *
   * @throws {AbortError} If some rank failed.
   * @throws {StallError} If it cannot happen any more, or takes longer than the stall timeout.
   */
  until(what: Waitable): void {
    if (what.poll()) return;
    const { words } = this.#control;
    const untimed = Math.min(UNTIMED_SPINS, this.#spinLimit);
    for (let i = 0; i < untimed; i++) {
      words.pause();
      if (what.poll()) return;
    }
    const start = this.#clock(), copyBefore = this.#ledger.copyMs;
    for (let i = untimed; i < this.#spinLimit; i++) {
      words.pause();
      if (what.poll()) {
        const copyMs = this.#ledger.copyMs - copyBefore;
        this.#ledger.addWait(what.at.peer, what.at.operation, this.#clock() - start - copyMs);
        return;
      }
      if (this.#abort.isRaised) break;
    }
    this.#untilParked(what, start, copyBefore);
  }

  #untilParked(what: Waitable, start: number, copyBefore: number): void {
    const { at } = what, { words } = this.#control;
    this.#graph.reset();
    this.#patience.begin(start);
    this.#status.publishWait(at);
    let { word, target, peer, operation } = at;
    let since = start, nextLook = start + FIRST_LOOK_MS;
    try {
      do {
        this.#checkAbort(what);
        const time = this.#clock();
        this.#patience.pass(time);
        if (at.word !== word || at.target !== target) {
          this.#ledger.addWait(peer, operation, time - since);
          ({ word, target, peer, operation } = at);
          since = time;
          this.#status.publishWait(at);
        }
        const isBusy = this.progressOthers(what);
        if (!isBusy) this.#status.beat(); // else this rank may still be moved by its other operations
        if (time >= nextLook) {
          this.#look(at);
          nextLook = time + LOOK_MS;
        }
        words.add(at.parkedWord, 1); // [parking]
        words.park(at.word, at.seen, isBusy ? BUSY_SLICE_MS : PARK_SLICE_MS); // [park]
        words.add(at.parkedWord, -1);
      } while (!what.poll());
    } finally {
      const copyMs = this.#ledger.copyMs - copyBefore;
      this.#ledger.addWait(peer, operation, this.#clock() - since - copyMs);
      this.#status.clearWait();
    }
  }

  /** Looks once more before giving up: a mismatch says more than the abort that it caused elsewhere. */
  #checkAbort(what: Waitable): void {
    if (!this.#abort.isRaised) return; // [abort?]
    if (what.poll()) return;
    const { rank, reason } = this.#abort.firstCause!;
    throw new AbortError(rank, reason);
  }

  #look(at: WaitPoint): void {
    const stall = this.#graph.look(at) ?? this.#findTimeout(at, this.#patience.waitedMs(at.peer));
    if (stall === undefined) return;
    const message = `Stalled: ${stall}`;
    // The first report wins: a later one may see a rank that has failed because of the first, and tell half of it.
    const first = this.#abort.raise(this.#rank, message);
    if (first.reason.startsWith("Stalled")) throw new StallError(first.reason);
    throw new AbortError(first.rank, first.reason);
  }

  #findTimeout(at: WaitPoint, waitedMs: number): string | undefined {
    const isStarting = readStatus(this.#control, at.peer).state === "starting";
    const limitMs = isStarting ? this.#startTimeoutMs : this.#stallTimeoutMs;
    if (waitedMs < Math.min(limitMs, this.#stallTimeoutMs)) return undefined;
    return `${this.#graph.describe(at)} since ${(waitedMs / 1000).toFixed(1)} s, but ` +
      `${this.#graph.describePeer(at)}`;
  }
}
