import {
  AbortWord,
  ControlBlock,
  describeWorld,
  type Topology,
  type WaitOptions,
} from "../../../collectives/mod.ts";
import { createDeviceMemory } from "../../../kernels/mod.ts";
import type { RunReply, RunRequest } from "./worker.ts";

const CAP_BYTES = 64 * 1024 * 1024;

/** What a rank's program returned, or threw. */
export interface Outcome<T> {
  value?: T;
  error?: { name: string; message: string };
}

/** How to run a program. */
export interface RunOptions {
  /** Ranks that take part; the first ones of the world. */
  worldSize?: number;
  /** By default one group "all" of all ranks. */
  groups?: Topology["groups"];
  config?: unknown;
  deadlineMs?: number;
  wait?: WaitOptions;
  /** Called when the control block exists; may raise an abort later, or terminate a worker. */
  onStart?: (control: ControlBlock, world: TestWorld) => void;
  /** Ranks that are not started. */
  absent?: number[];
}

/** Workers that run programs of `programs.ts`, many times; a deadline that passes kills them. */
export class TestWorld {
  readonly #workers: Worker[];
  readonly #memories: WebAssembly.Memory[];
  readonly #places: readonly number[];

  /** @param places Where in its memory a rank's spans lie, by rank; 0 for ranks beyond. */
  constructor(size: number, places: readonly number[] = []) {
    this.#workers = Array.from({ length: size }, startWorker);
    this.#places = Array.from({ length: size }, (_, rank) => places[rank] ?? 0);
    this.#memories = this.#places.map((place) => createDeviceMemory(place + CAP_BYTES));
  }

  /** Runs a program on every rank; one outcome per rank. */
  async run<T>(program: string, options: RunOptions = {}): Promise<Outcome<T>[]> {
    const { worldSize = this.#workers.length, config = null, deadlineMs = 10_000, absent = [] } = options;
    const ranks = Array.from({ length: worldSize }, (_, rank) => rank);
    const topology = { worldSize, groups: options.groups ?? [{ name: "all", ranks }] };
    const buffer = ControlBlock.initialize(topology);
    const control = ControlBlock.attach(buffer, topology);
    const memories = this.#memories.slice(0, worldSize);
    const wait = { spinLimit: 100, ...options.wait };
    const runs = ranks.filter((rank) => !absent.includes(rank)).map((rank) => {
      const startBytes = this.#places[rank], capBytes = startBytes + CAP_BYTES;
      return this.#ask<T>({ program, config, rank, topology, buffer, memories, startBytes, capBytes, wait });
    });
    options.onStart?.(control, this);
    const { promise: expired, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), deadlineMs);
    const outcomes = await Promise.race([Promise.all(runs), expired]);
    clearTimeout(timer);
    if (outcomes !== undefined) return outcomes;
    const report = describeWorld(control);
    new AbortWord(control).raiseFor(0, "the test's deadline has passed");
    this.close();
    throw new Error(`${program} ran longer than ${deadlineMs} ms:\n${report}`);
  }

  /** Terminates the worker of a rank and puts a new one in its place. */
  kill(rank: number): void {
    this.#workers[rank].terminate();
    this.#workers[rank] = startWorker();
  }

  /** Terminates all workers. */
  close(): void {
    for (const worker of this.#workers) worker.terminate();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #ask<T>(request: RunRequest): Promise<Outcome<T>> {
    const worker = this.#workers[request.rank];
    return new Promise((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<RunReply>) => resolve(data as Outcome<T>);
      worker.onerror = (event) => {
        event.preventDefault();
        resolve({ error: { name: "WorkerError", message: event.message } });
      };
      worker.postMessage(request);
    });
  }
}

/** The values of all ranks; throws the first error. */
export function valuesOf<T>(outcomes: Outcome<T>[]): T[] {
  for (const { error } of outcomes) {
    if (error !== undefined) throw new Error(`${error.name}: ${error.message}`);
  }
  return outcomes.map(({ value }) => value as T);
}

function startWorker(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
}
