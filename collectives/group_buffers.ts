import type { Span } from "../kernels/mod.ts";
import { EAGER_MAX_BYTES, Reducer } from "./algorithms/all_reduce.ts";
import type { ControlLayout } from "./control/control_block.ts";
import { reductionCode } from "./algorithms/operation.ts";
import type { BufferHeap, ReduceOptions } from "./options.ts";

/** One member of a group of a world. */
export interface MemberPlace {
  /** Where the words of the world lie. */
  readonly layout: ControlLayout;
  /** Place of the group in the topology. */
  readonly group: number;
  /** The member's rank in the world. */
  readonly rank: number;
}

/**
 * What a group takes of its rank's heap: the registers of sums, and a slot of {@link EAGER_MAX_BYTES} for the eager payload
 * of each operation that may be announced ahead. All of it is `buffers`; a plan takes the same.
 */
export class GroupBuffers {
  /** Sums over the group in its registers. */
  readonly reducer: Reducer;
  readonly #slots: number;
  readonly #slotMask: number;

  /** Allocates registers and slots; a group of one needs none. */
  constructor({ layout, group, rank }: MemberPlace, heap: BufferHeap) {
    const { name, ranks } = layout.topology.groups[group];
    const allocate = (purpose: string, bytes: number) =>
      heap.allocate(`${purpose} of group ${name}`, bytes / 4, "buffers", "f32").byteOffset;
    this.reducer = new Reducer(ranks.indexOf(rank), ranks.length, (bytes) => allocate("scratch", bytes));
    this.#slots = ranks.length === 1 ? 0 : allocate("eager slots", layout.ringSlots * EAGER_MAX_BYTES);
    this.#slotMask = layout.ringSlots - 1;
  }

  /** Byte offset of the slot of an operation, by its sequence number. */
  eagerSlot(sequence: number): number {
    return this.#slots + (sequence & this.#slotMask) * EAGER_MAX_BYTES;
  }

  /**
   * The code of a reduction of such elements; takes the scratch that it needs beside the registers.
   *
   * @throws {TypeError} If elements of that type cannot be reduced so.
   */
  reductionOf({ dtype }: Span, { reduction = "sum" }: ReduceOptions): number {
    const code = reductionCode(reduction, dtype);
    this.reducer.reserve(dtype);
    return code;
  }
}
