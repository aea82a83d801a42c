import { AbortWord, type ControlBlock, readStatus, type StatusReport } from "../collectives/mod.ts";
import type { DeviceWorker, WorkerPool } from "./worker_pool.ts";

/** A device failed, and so its world; the message names the first cause. */
export class DeviceError extends Error {
  /** Tells it from other errors. */
  override name = "DeviceError";
  /** The rank that failed first. */
  readonly rank: number;
  /** The step that it was in; 0 if it had not begun one. */
  readonly step: number;
  /** What it was doing in that step; empty if it had not begun one. */
  readonly phase: string;
  /** What it said. */
  readonly reason: string;
  /** What ranks have thrown, by rank; `cause` is the one of `rank`. Ranks that were ended from outside are missing. */
  readonly errors: ReadonlyMap<number, unknown>;

  /** Makes the error of a world whose rank `status.rank` failed first. */
  constructor(status: StatusReport, reason: string, errors: ReadonlyMap<number, unknown>) {
    const { rank, step, phase } = status, place = phase === "" ? "" : ` in step ${step} (${phase})`;
    super(`Device ${rank} failed${place}: ${reason}`, { cause: errors.get(rank) });
    this.rank = rank;
    this.step = step;
    this.phase = phase;
    this.reason = reason;
    this.errors = errors;
  }
}

/** A running world, seen by who launched it. */
export interface World {
  /** Results of the program by rank; rejects with a {@link DeviceError}. No worker is at work when it settles. */
  readonly done: Promise<unknown[]>;
  /** Asks the program to stop after its current step. */
  requestStop(): void;
  /**
   * Ends one worker at once, as a crash would; the others stop with an error that names it.
   *
   * Deno 2.9 ends a worker only when it returns to its event loop. A device does so when it next enters a phase or a
   * collective, as both look for failures; a program that computes for ever elsewhere keeps its thread, and the process
   * must then be ended with `Deno.exit()`.
   */
  terminate(rank: number): void;
  /** What every rank has published about itself. */
  status(): StatusReport[];
}

/** After a failure, devices that have not stopped by themselves after this time are terminated. */
const STOP_DEADLINE_MS = 700;

/** Watches the workers of a world: collects results, and on the first failure stops everybody. */
export class Supervisor implements World {
  readonly done: Promise<unknown[]>;
  readonly #control: ControlBlock;
  readonly #abort: AbortWord;
  readonly #workers: DeviceWorker[] = [];
  readonly #pool: WorkerPool | undefined;
  readonly #running = new Set<number>();
  readonly #results: unknown[] = [];
  readonly #settle: { resolve: (results: unknown[]) => void; reject: (error: Error) => void };
  /** What the failed ranks threw, by rank. */
  readonly #errors = new Map<number, unknown>();
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #isSettled = false;

  /**
   * Supervises the workers that {@link watch} is given; they share the words of `control`.
   *
   * @param pool Takes the workers of a world that has ended well; others are terminated.
   */
  constructor(control: ControlBlock, pool?: WorkerPool) {
    this.#pool = pool;
    const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
    this.done = promise;
    this.#settle = { resolve, reject };
    this.#control = control;
    this.#abort = new AbortWord(control);
  }

  /** Takes charge of the worker of a rank. */
  watch(rank: number, worker: DeviceWorker, result: Promise<unknown>): void {
    this.#workers[rank] = worker;
    this.#running.add(rank);
    result.then(
      (value) => this.#end(rank, () => this.#results[rank] = value),
      (error) => {
        this.#errors.set(rank, error);
        this.onDeath(rank, error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      },
    );
  }

  /** A rank has failed or is gone. The first one is the cause that all errors name. */
  onDeath(rank: number, reason: string): void {
    if (this.#isSettled) return;
    this.#abort.raiseFor(rank, reason);
    this.#deadline ??= setTimeout(() => this.#finish(), STOP_DEADLINE_MS);
    this.#end(rank, () => {});
  }

  /** Asks the program to stop after its current step. */
  requestStop(): void {
    this.#control.requestStop();
  }

  /** Ends one worker at once, as a crash would. */
  terminate(rank: number): void {
    if (!this.#running.has(rank)) return;
    this.#workers[rank].terminate();
    this.onDeath(rank, "the worker was terminated");
  }

  /** What every rank has published about itself. */
  status(): StatusReport[] {
    return this.#workers.map((_, rank) => readStatus(this.#control, rank));
  }

  #end(rank: number, keep: () => void): void {
    if (!this.#running.delete(rank)) return;
    keep();
    if (this.#running.size === 0) this.#finish();
  }

  /** All have ended, or the deadline is over: ranks that still run then may keep the process alive. */
  #finish(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    clearTimeout(this.#deadline);
    const first = this.#abort.firstCause, pool = first === undefined ? this.#pool : undefined;
    for (const worker of this.#workers) pool === undefined ? worker.terminate() : pool.give(worker);
    if (first === undefined) return this.#settle.resolve(this.#results);
    const status = readStatus(this.#control, first.rank);
    const busy = [...this.#running].map((rank) =>
      `; device ${rank} has not reacted within ${STOP_DEADLINE_MS} ms`
    );
    this.#settle.reject(new DeviceError(status, first.reason + busy.join(""), this.#errors));
  }
}
