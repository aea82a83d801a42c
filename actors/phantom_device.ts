import {
  ControlLayout,
  type Group,
  Ledger,
  PlannedGroup,
  type PlannedOperation,
  type Topology,
} from "../collectives/mod.ts";
import { DeviceHeap, type Span } from "../kernels/mod.ts";
import type { DeviceView } from "./device.ts";

/** A heap that counts; who looks at a span sees zeros of its own. */
export class PlannedHeap extends DeviceHeap {
  /** Counts without a limit. */
  constructor() {
    super({ capBytes: Number.MAX_SAFE_INTEGER });
  }

  /** Zeros. */
  override f32(span: Span): Float32Array {
    return new Float32Array(span.length);
  }

  /** Zeros. */
  override i32(span: Span): Int32Array {
    return new Int32Array(span.length);
  }

  /** Zeros. */
  override u16(span: Span): Uint16Array {
    return new Uint16Array(span.length);
  }

  /** Zeros. */
  override f64(span: Span): Float64Array {
    return new Float64Array(span.length);
  }
}

/**
 * A device that runs a program on paper: its heap has no memory, its kernels compute nothing, its groups only book what
 * they would move. What the program allocates and moves here is what it allocates and moves on a {@link Device}.
 */
export class PhantomDevice implements DeviceView {
  /** Number of this device in the world, from 0. */
  readonly rank: number;
  /** Size of the world, and its groups of ranks. */
  readonly topology: Topology;
  /** Counts what is allocated. */
  readonly heap: DeviceHeap = new PlannedHeap();
  /** Stays empty: see {@link operations}. */
  readonly ledger: Ledger;
  /** Nobody asks. */
  readonly isStopRequested = false;
  /** What was asked of the groups since this list was last emptied. */
  readonly operations: PlannedOperation[] = [];
  readonly #layout: ControlLayout;
  readonly #groups: Group[] = [];

  /** Makes the device of a rank; allocates nothing yet. */
  constructor(topology: Topology, rank: number) {
    this.rank = rank;
    this.topology = topology;
    this.ledger = new Ledger(topology.worldSize);
    this.#layout = new ControlLayout(topology);
  }

  /** Number of devices of the world. */
  get worldSize(): number {
    return this.topology.worldSize;
  }

  /**
   * The group of that name that this rank is in; its buffers are allocated when it is first asked for.
   *
   * @throws {RangeError} If this rank is in no group of that name.
   */
  group(name: string): Group {
    const known = this.#groups.find((group) => group.name === name);
    if (known !== undefined) return known;
    const { groups } = this.topology;
    const place = groups.findIndex((group) => group.name === name && group.ranks.includes(this.rank));
    if (place < 0) throw new RangeError(`Cannot find group ${name}: rank ${this.rank} is in no such group`);
    const group = new PlannedGroup(
      { layout: this.#layout, group: place, rank: this.rank },
      this.heap,
      (operation) => this.operations.push(operation),
    );
    this.#groups.push(group);
    return group;
  }

  /** Nobody looks. */
  enter(_step: number, _phase: string): void {}
}
