import type { Topology, WaitOptions } from "../collectives/mod.ts";
import type { CompiledKernels } from "../kernels/mod.ts";

/**
 * The control plane: what launcher and workers say to each other. Everything on the path of a step goes through
 * shared memory instead.
 *
 * | message | from | to | when |
 * |---|---|---|---|
 * | `run` | launcher | worker | once, after the worker has started; answered with the program's result |
 * | `report` | worker | launcher | whenever the program reports, usually once a step by rank 0 |
 * | `exiting` | worker | launcher | the worker closes itself before its program has ended |
 */
export interface WorkerApi {
  /** Runs a program to its end. */
  run(order: RunOrder): Promise<unknown>;
}

/** What a worker can call at the launcher. */
export interface LauncherApi {
  /** Delivers a report; the answer is the worker's backpressure. */
  report(rank: number, value: unknown): void | Promise<void>;
  /** Says that the worker is about to close. */
  exiting(rank: number): void;
}

/** All that a worker needs to become a device and run its program. */
export interface RunOrder {
  /** The rank that the worker becomes. */
  readonly rank: number;
  /** Number of ranks, and the groups in which they communicate. */
  readonly topology: Topology;
  /** Words of the whole world: `ControlBlock.initialize(topology)`. */
  readonly control: SharedArrayBuffer;
  /** Memory of every device, by rank. */
  readonly memories: readonly WebAssembly.Memory[];
  /** Cap of each memory. */
  readonly deviceMemoryBytes: number;
  /** Kernels, tested and compiled. */
  readonly kernels: CompiledKernels;
  /** URL of a module whose default export is a {@link Program}. */
  readonly program: string;
  /** Handed to the program; plain data (shared buffers allowed). */
  readonly config: unknown;
  /** How ranks wait for each other. */
  readonly wait: WaitOptions;
  /** How one rank is made to fail, for tests. */
  readonly fault: Fault | undefined;
}

/** The part of an order that makes a device; the kernels belong to the worker. */
export type DeviceOrder = Omit<RunOrder, "kernels">;

/** How a device is made to fail, for tests of failure. */
export const FAULT_KINDS = ["throw", "close", "hang", "out-of-memory"] as const;

/** A planned failure: `rank` fails on entering `phase` of `step`. */
export interface Fault {
  /** Which rank. */
  readonly rank: number;
  /** Training step, from 0. */
  readonly step: number;
  /** Part of the step, as the program names it in `Device.enter`. */
  readonly phase: string;
  /** What it does then; "hang" lasts until some rank has failed or the worker is terminated. */
  readonly kind: typeof FAULT_KINDS[number] | "lose-gpu";
}
