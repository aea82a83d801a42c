import type { ControlBlock } from "./control_block.ts";
import { readStatus } from "./status.ts";

/** Longest time between two looks that counts: a process that was stopped (Ctrl-Z) has not waited. */
const MAX_STEP_MS = 1000;

/**
 * How long a rank has waited for a peer that could have been expected to go on.
 *
 * Time does not count while the rank that all wait for in the end is in a phase without a limit, such as the writing of a
 * checkpoint, whose length the disk decides; nor while the process was stopped.
 */
export class Patience {
  readonly #control: ControlBlock;
  readonly #untimedPhases: readonly string[];
  #countedMs = 0;
  #lastMs = 0;

  /** Knows the phases, as `Device.enter` names them, that may take any time. */
  constructor(control: ControlBlock, untimedPhases: readonly string[]) {
    this.#control = control;
    this.#untimedPhases = untimedPhases;
  }

  /** A wait begins. */
  begin(timeMs: number): void {
    this.#countedMs = 0;
    this.#lastMs = timeMs;
  }

  /** The wait goes on. */
  pass(timeMs: number): void {
    this.#countedMs += Math.min(timeMs - this.#lastMs, MAX_STEP_MS);
    this.#lastMs = timeMs;
  }

  /** Time that counts of the wait for `peer`. */
  waitedMs(peer: number): number {
    if (this.#untimedPhases.length > 0 && this.#untimedPhases.includes(this.#lastPhase(peer))) {
      this.#countedMs = 0;
    }
    return this.#countedMs;
  }

  /** The phase of the rank at the end of the waits that `peer` is in. */
  #lastPhase(peer: number): string {
    let status = readStatus(this.#control, peer);
    for (let hop = this.#control.layout.topology.worldSize; hop > 0 && status.wait !== undefined; hop--) {
      status = readStatus(this.#control, status.wait.peer);
    }
    return status.phase;
  }
}
