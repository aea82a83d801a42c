import { Endpoint, type Group, type Ledger, type Topology } from "../collectives/mod.ts";
import { DeviceHeap, onnx } from "../kernels/mod.ts";
import type { DeviceOrder } from "./messages.ts";

/** The default export of a program module: what every rank of a world runs. */
export type Program<Config = unknown, Result = unknown> = (
  device: Device,
  config: Config,
) => Result | Promise<Result>;

/** Delivers a report to the launcher. */
export type Report = (value: unknown) => Promise<void>;

/** What a program that computes sees of its device: a {@link Device}, or one that only plans. */
export interface DeviceView {
  /** Number of this device in the world, from 0. */
  readonly rank: number;
  /** Number of devices of the world. */
  readonly worldSize: number;
  /** This device's memory; allocating above its cap throws an error that says what the memory is spent on. */
  readonly heap: DeviceHeap;
  /** Time and traffic of this rank's communication. */
  readonly ledger: Ledger;
  /** Whether the user asked to stop; ranks must agree before they act on it, as they may see it at different steps. */
  readonly isStopRequested: boolean;
  /**
   * The group of that name that this rank is in; its buffers are allocated when it is first asked for.
   *
   * @throws {RangeError} If this rank is in no group of that name.
   */
  group(name: string): Group;
  /**
   * Publishes where the program is, for reports of stalls and failures.
   *
   * @throws {AbortError} If some rank of the world has failed.
   */
  enter(step: number, phase: string): void;
}

/** How a device fails on purpose; a worker provides it. */
export interface FaultActions {
  /** Ends the worker without an error. */
  readonly close: () => void;
}

/** What a program sees of the device it runs on: its rank, its memory, its groups. */
export class Device implements DeviceView {
  /** Number of this device in the world, from 0. */
  readonly rank: number;
  /** Size of the world, and its groups of ranks. */
  readonly topology: Topology;
  /** This device's memory; allocating above its cap throws an error that says what the memory is spent on. */
  readonly heap: DeviceHeap;
  readonly #endpoint: Endpoint;
  readonly #order: DeviceOrder;
  readonly #report: Report;
  readonly #faults: FaultActions;
  #lastReport: Promise<void> = Promise.resolve();

  /** Opens the memory, joins the groups of the topology and publishes that this rank runs. */
  constructor(order: DeviceOrder, report: Report, faults: FaultActions) {
    const { rank, topology, memories, wait } = order;
    this.rank = rank;
    this.topology = topology;
    this.heap = new DeviceHeap({ capBytes: order.deviceMemoryBytes, memory: memories[rank] });
    this.#endpoint = Endpoint.attach({
      buffer: order.control,
      topology,
      rank,
      memories,
      heap: this.heap,
      wait,
    });
    this.#order = order;
    this.#report = report;
    this.#faults = faults;
    this.#endpoint.status.setState("running");
  }

  /** Number of devices of the world. */
  get worldSize(): number {
    return this.topology.worldSize;
  }

  /** Whether the user asked to stop; ranks must agree before they act on it, as they may see it at different steps. */
  get isStopRequested(): boolean {
    return this.#endpoint.control.isStopRequested;
  }

  /** Time and traffic of this rank's communication. */
  get ledger(): Ledger {
    return this.#endpoint.ledger;
  }

  /**
   * The group of that name that this rank is in.
   *
   * @throws {RangeError} If this rank is in no group of that name.
   */
  group(name: string): Group {
    return this.#endpoint.group(name);
  }

  /** Goes on with announced operations of all groups as far as possible; true if some are left. */
  progress(): boolean {
    return this.#endpoint.progress();
  }

  /**
   * Publishes where the program is, for reports of stalls and failures.
   *
   * @throws {AbortError} If some rank of the world has failed.
   */
  enter(step: number, phase: string): void {
    this.#endpoint.status.setPlace(step, phase);
    this.#endpoint.abort.check();
    const { fault } = this.#order;
    if (fault?.rank === this.rank && fault.step === step && fault.phase === phase) this.#fail(fault.kind);
  }

  /**
   * Sends a value (plain data) to the launcher; waits until the one before has been taken, so reports cannot pile up.
   *
   * @throws {Error} If the launcher could not take the one before.
   */
  async report(value: unknown): Promise<void> {
    await this.#lastReport;
    this.#lastReport = this.#report(value).catch((error) => {
      throw new Error(
        `the launcher did not take a report: ${error instanceof Error ? error.message : error}`,
      );
    });
  }

  /** Waits until the last report has been taken. */
  async reported(): Promise<void> {
    await this.#lastReport;
  }

  /** Publishes that the program has ended. */
  finish(): void {
    this.#endpoint.status.setState("finished");
  }

  /** Publishes that the program has failed; other ranks stop with an error that names the first cause. */
  fail(reason: string): void {
    this.#endpoint.abort.raise(this.rank, reason);
    this.#endpoint.status.setState("failed");
  }

  #fail(kind: NonNullable<DeviceOrder["fault"]>["kind"]): void {
    switch (kind) {
      case "throw":
        throw new Error("planned failure");
      case "close":
        return this.#faults.close();
      case "out-of-memory":
        this.heap.allocate("a tensor that is too large", this.heap.capBytes, "activations");
        return;
      case "lose-gpu":
        return onnx.loseGpu();
      case "hang":
        // As a kernel that never ends would: until the launcher terminates this worker.
        while (!this.#endpoint.abort.isRaised);
        return this.#endpoint.abort.check();
    }
  }
}
