import { type OperationName, OPERATIONS } from "./status.ts";

/** Where a rank's communication time and traffic went since the last reset. */
export interface LedgerEntry {
  /** Payload bytes that this rank read from or wrote to peers' memory. */
  bytesMoved: number;
  /** Milliseconds in copies and sums of payload of more than {@link TIMED_BYTES}. */
  copyMs: number;
  /** Milliseconds in waits that lasted longer than the first spins (about a microsecond). */
  waitMs: number;
  /** Of `waitMs`, by the rank waited for. */
  waitMsByPeer: number[];
  /** Of `waitMs`, by operation. */
  waitMsByOperation: Partial<Record<OperationName, number>>;
}

/** Smaller payloads take less time than two looks at the clock, so they are not timed. */
export const TIMED_BYTES = 16 * 1024;

/** Accounts the communication of one rank; plain fields, so that the fast path pays an addition. */
export class Ledger {
  /** See {@link LedgerEntry}. */
  bytesMoved = 0;
  /** See {@link LedgerEntry}. */
  copyMs = 0;
  /** See {@link LedgerEntry}. */
  waitMs = 0;
  readonly #byPeer: Float64Array;
  readonly #byOperation = new Float64Array(OPERATIONS.length);

  /** Makes an empty ledger of a rank of such a world. */
  constructor(worldSize: number) {
    this.#byPeer = new Float64Array(worldSize);
  }

  /** Books a wait. */
  addWait(peer: number, operation: number, ms: number): void {
    this.waitMs += ms;
    this.#byPeer[peer] += ms;
    this.#byOperation[operation] += ms;
  }

  /** The entry since the last reset. */
  read(): LedgerEntry {
    const waitMsByOperation: Partial<Record<OperationName, number>> = {};
    OPERATIONS.forEach((name, i) => {
      if (this.#byOperation[i] > 0) waitMsByOperation[name] = this.#byOperation[i];
    });
    const { bytesMoved, copyMs, waitMs } = this;
    return { bytesMoved, copyMs, waitMs, waitMsByPeer: [...this.#byPeer], waitMsByOperation };
  }

  /** Starts again from zero; a step loop calls it once per step. */
  reset(): void {
    this.bytesMoved = this.copyMs = this.waitMs = 0;
    this.#byPeer.fill(0);
    this.#byOperation.fill(0);
  }
}
