import { type PeerLink, WasmPeerLink } from "../kernels/mod.ts";
import { AbortWord } from "./control/abort.ts";
import { ControlBlock, type Topology } from "./control/control_block.ts";
import type { Group } from "./group.ts";
import { Ledger } from "./control/ledger.ts";
import type { BufferHeap } from "./options.ts";
import { ProcessGroup } from "./process_group.ts";
import { RankStatus } from "./control/status.ts";
import { Waiter, type WaitOptions } from "./control/wait.ts";

/** What an endpoint is made of; `Endpoint.attach` makes it from shared memories. */
export interface EndpointParts {
  /** The words of the world. */
  control: ControlBlock;
  /** This rank. */
  rank: number;
  /** Links by rank; the own rank links its memory to itself. */
  links: readonly PeerLink[];
  /** Where groups allocate their buffers. */
  heap: BufferHeap;
  /** How this rank waits. */
  wait?: WaitOptions;
}

/** What a worker gets from the launcher. */
export interface AttachOptions {
  /** Made by `ControlBlock.initialize`. */
  buffer: SharedArrayBuffer;
  /** As the launcher gave it to `ControlBlock.initialize`. */
  topology: Topology;
  /** This rank. */
  rank: number;
  /** Shared memories of all devices, by rank. */
  memories: readonly WebAssembly.Memory[];
  /** Heap of this rank's memory. */
  heap: BufferHeap;
  /** How this rank waits. */
  wait?: WaitOptions;
}

/** One rank's end of the world: its groups, its status, its part of the control block. */
export class Endpoint {
  /** This rank. */
  readonly rank: number;
  /** The words of the world. */
  readonly control: ControlBlock;
  /** What this rank publishes about itself. */
  readonly status: RankStatus;
  /** Stops every rank when one fails. */
  readonly abort: AbortWord;
  /** Time and traffic of this rank. */
  readonly ledger: Ledger;
  readonly #parts: EndpointParts;
  readonly #waiter: Waiter;
  readonly #groups: ProcessGroup[] = [];

  /** Makes an endpoint of parts; workers use `attach`. */
  constructor(parts: EndpointParts) {
    const { control, rank } = parts;
    this.rank = rank;
    this.control = control;
    this.status = new RankStatus(control, rank);
    this.abort = new AbortWord(control);
    this.ledger = new Ledger(control.layout.topology.worldSize);
    this.#parts = parts;
    const { status, abort, ledger } = this;
    this.#waiter = new Waiter({ control, rank, status, abort, ledger }, parts.wait);
    this.#waiter.progressOthers = (current) => this.#progressExcept(current);
  }

  /** Attaches to a world that the launcher made. */
  static attach({ buffer, topology, rank, memories, heap, wait }: AttachOptions): Endpoint {
    const links = memories.map((memory) => new WasmPeerLink(memories[rank], memory));
    return new Endpoint({ control: ControlBlock.attach(buffer, topology), rank, links, heap, wait });
  }

  /** Number of ranks of the world. */
  get worldSize(): number {
    return this.control.layout.topology.worldSize;
  }

  /**
   * The group with this name that this rank is in; buffers are allocated when it is first asked for.
   *
   * @throws {RangeError} If there is none.
   */
  group(name: string): Group {
    const known = this.#groups.find((group) => group.name === name);
    if (known !== undefined) return known;
    const { groups } = this.control.layout.topology;
    const place = groups.findIndex((group) => group.name === name && group.ranks.includes(this.rank));
    if (place < 0) {
      const names = groups.filter(({ ranks }) => ranks.includes(this.rank)).map((group) => group.name);
      throw new RangeError(
        `Cannot find group ${name}: rank ${this.rank} is in ${names.join(", ") || "no group"}`,
      );
    }
    const { control, rank, links, heap } = this.#parts;
    const parts = { control, rank, group: place, links, abort: this.abort, ledger: this.ledger };
    const group = new ProcessGroup({ ...parts, waiter: this.#waiter }, this.status, heap);
    this.#groups.push(group);
    return group;
  }

  /** Goes on with announced operations of all groups without waiting; true if some are left. */
  progress(): boolean {
    return this.#progressExcept(undefined);
  }

  #progressExcept(current: unknown): boolean {
    let isPending = false;
    for (const group of this.#groups) {
      if (group.progressExcept(current)) isPending = true;
    }
    return isPending;
  }
}
