import { connect } from "./mailbox.ts";
import type { LauncherApi, RunOrder, WorkerApi } from "./messages.ts";

/** What a worker tells the world that it works for. */
export interface WorkerEvents extends LauncherApi {
  /** The worker cannot go on. */
  failed(reason: string): void;
}

/** A worker thread that can serve one world after the other. */
export class DeviceWorker {
  readonly #worker: Worker;
  readonly #api: WorkerApi;
  #events: WorkerEvents | undefined;
  #numWorlds = 0;

  /** Starts the thread; it loads its modules until it gets an order. */
  constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "device" });
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#events?.failed(event.message);
    };
    const launcher: LauncherApi = {
      report: (rank, value) => this.#events?.report(rank, value),
      exiting: (rank) => this.#events?.exiting(rank),
    };
    this.#api = connect<WorkerApi>(this.#worker, launcher);
  }

  /** Worlds that it has served or serves. */
  get numWorlds(): number {
    return this.#numWorlds;
  }

  /** Runs a program to its end; until the next order, `events` hears of the worker. */
  run(order: RunOrder, events: WorkerEvents): Promise<unknown> {
    this.#numWorlds++;
    this.#events = events;
    return this.#api.run(order);
  }

  /** Ends the thread. */
  terminate(): void {
    this.#worker.terminate();
  }
}

/**
 * A worker's garbage may hold on to the memory of its worlds, which is not counted against it: it is replaced in time.
 */
const MAX_WORLDS = 64;

/**
 * Keeps workers whose worlds have ended well for the next ones, which then start in milliseconds: their modules are
 * loaded and their code is optimised.
 *
 * ```ts
 * import { train, WorkerPool } from "@tessera/tessera";
 *
 * using pool = new WorkerPool();
 * for (const lr of [1e-4, 1e-3]) for await (const step of train({ lr, steps: 2, evalEvery: 0, pool })) {
 *   console.log(lr, step.loss);
 * }
 * ```
 */
export class WorkerPool implements Disposable {
  readonly #idle: DeviceWorker[] = [];
  #isDisposed = false;

  /** An idle worker, or a new one. */
  take(): DeviceWorker {
    return this.#idle.pop() ?? new DeviceWorker();
  }

  /** Takes a worker back that has nothing left to do. */
  give(worker: DeviceWorker): void {
    if (this.#isDisposed || worker.numWorlds >= MAX_WORLDS) worker.terminate();
    else this.#idle.push(worker);
  }

  /** Ends the idle workers; those at work end with their worlds. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    for (const worker of this.#idle.splice(0)) worker.terminate();
  }
}
