import { ControlBlock, type Topology, type WaitOptions } from "../collectives/mod.ts";
import { compileKernels, createDeviceMemory } from "../kernels/mod.ts";
import { connect } from "./mailbox.ts";
import type { Fault, LauncherApi, WorkerApi } from "./messages.ts";
import { Supervisor, type World } from "./supervisor.ts";

/** How to start a world. */
export interface LaunchOptions {
  /** URL of a module whose default export is a `Program`. */
  readonly program: string;
  /** Handed to the program on every rank: plain data, shared buffers allowed. */
  readonly config?: unknown;
  /** Number of ranks, and the groups in which they communicate. */
  readonly topology: Topology;
  /** Cap of the memory of each device. */
  readonly deviceMemoryBytes: number;
  /** Gets what programs report; a promise holds the reporting rank back until it resolves. */
  readonly onReport?: (rank: number, value: unknown) => void | Promise<void>;
  /** How long ranks look before they park, and when a wait is an error. */
  readonly wait?: WaitOptions;
  /** Makes a device fail, for tests. */
  readonly fault?: Fault;
}

/** Looks before a rank parks when devices share cores: the core is better used by the one waited for. */
const OVERSUBSCRIBED_SPINS = 32;

/**
 * Starts one worker per rank, each with a memory of its own, and runs the program on all of them.
 *
 * Cost: about 30 ms per worker and core, and 100 ms once to compile the kernels, which all workers share; memory is
 * reserved at once and committed when touched.
 *
 * @returns The running world; its `done` has the results by rank, or rejects with the first cause of failure.
 */
export function launch(options: LaunchOptions): World {
  const { topology, deviceMemoryBytes } = options;
  const control = ControlBlock.initialize(topology);
  const memories = Array.from({ length: topology.worldSize }, () => createDeviceMemory(deviceMemoryBytes));
  const supervisor = new Supervisor(ControlBlock.attach(control, topology));
  const launcher: LauncherApi = {
    report: (rank, value) => options.onReport?.(rank, value),
    exiting: (rank) => supervisor.onDeath(rank, "the worker closed itself"),
  };
  const workers = memories.map((_, rank) => startWorker(rank, supervisor));
  // Workers load their modules meanwhile.
  const kernels = compileKernels();
  workers.forEach((worker, rank) => {
    const order = {
      ...{ rank, topology, control, memories, deviceMemoryBytes, kernels, program: options.program },
      ...{ config: options.config, wait: waitOptions(options), fault: options.fault },
    };
    supervisor.watch(rank, worker, connect<WorkerApi>(worker, launcher).run(order));
  });
  return supervisor;
}

function startWorker(rank: number, supervisor: Supervisor): Worker {
  const url = new URL("./worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module", name: `device ${rank}` });
  worker.onerror = (event) => {
    event.preventDefault();
    supervisor.onDeath(rank, event.message);
  };
  return worker;
}

function waitOptions({ topology, wait }: LaunchOptions): WaitOptions {
  const isOversubscribed = topology.worldSize > navigator.hardwareConcurrency;
  return { ...(isOversubscribed ? { spinLimit: OVERSUBSCRIBED_SPINS } : {}), ...wait };
}
