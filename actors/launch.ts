import { ControlBlock, type Topology, type WaitOptions } from "../collectives/mod.ts";
import { compileKernels, createDeviceMemory } from "../kernels/mod.ts";
import type { Fault } from "./messages.ts";
import { Supervisor, type World } from "./supervisor.ts";
import { DeviceWorker, type WorkerPool } from "./worker_pool.ts";

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
  /** Where workers come from and go to; by default a world has its own. */
  readonly pool?: WorkerPool;
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
  const { topology, deviceMemoryBytes, pool } = options;
  const control = ControlBlock.initialize(topology);
  const memories = Array.from({ length: topology.worldSize }, () => createDeviceMemory(deviceMemoryBytes));
  const supervisor = new Supervisor(ControlBlock.attach(control, topology), pool);
  const workers = memories.map(() => pool?.take() ?? new DeviceWorker());
  // New workers load their modules meanwhile.
  const kernels = compileKernels();
  workers.forEach((worker, rank) => {
    const order = {
      ...{ rank, topology, control, memories, deviceMemoryBytes, kernels, program: options.program },
      ...{ config: options.config, wait: waitOptions(options), fault: options.fault },
    };
    const result = worker.run(order, {
      report: (rank, value) => options.onReport?.(rank, value),
      exiting: (rank) => supervisor.onDeath(rank, "the worker closed itself"),
      failed: (reason) => supervisor.onDeath(rank, reason),
    });
    supervisor.watch(rank, worker, result);
  });
  return supervisor;
}

function waitOptions({ topology, wait }: LaunchOptions): WaitOptions {
  const isOversubscribed = topology.worldSize > navigator.hardwareConcurrency;
  return { ...(isOversubscribed ? { spinLimit: OVERSUBSCRIBED_SPINS } : {}), ...wait };
}
