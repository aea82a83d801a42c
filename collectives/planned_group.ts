import { DTYPE_BYTES, type Span, spanByteLength } from "../kernels/mod.ts";
import { resolveAlgorithm } from "./all_reduce.ts";
import { chunkOf, lineChunkStart } from "./chunks.ts";
import type { GroupParts } from "./group_queue.ts";
import type { AllReduceOptions, BufferHeap, ChunkOptions } from "./options.ts";
import type { OperationOptions, ReduceScatterOptions } from "./options.ts";
import { Pending } from "./pending.ts";
import { ProcessGroup } from "./process_group.ts";
import type { OperationName, RankStatus } from "./status.ts";

/** What a rank would do in a group: one operation, and the bytes that it reads from and writes to its peers. */
export interface PlannedOperation {
  /** Name of the group. */
  readonly group: string;
  /** Which operation. */
  readonly operation: OperationName;
  /** What it is for. */
  readonly label: string;
  /** Bytes that this rank moves, as the ledger counts them. */
  readonly bytes: number;
}

/** Nothing is ever waited for in a plan. */
const DONE = new Pending({ isComplete: () => true, waitFor: () => {} }, 0);

/**
 * A group that takes the buffers of a real one and only books what its operations would move.
 *
 * Of a payload of P bytes in a group of n: all-reduce 2 P (n-1)/n per rank (a small one P (n-1), in one phase),
 * reduce-scatter, all-gather and all-to-all P (n-1)/n, a broadcast and a message P for who receives. Chunks are whole
 * elements or lines, so the bytes of a rank are those of the chunk that it owns.
 */
export class PlannedGroup extends ProcessGroup {
  readonly #book: (operation: PlannedOperation) => void;

  /** Allocates as a real group; `book` is told of every operation. */
  constructor(
    parts: GroupParts,
    of: { status: RankStatus; heap: BufferHeap; book: (operation: PlannedOperation) => void },
  ) {
    super(parts, of.status, of.heap);
    this.#book = of.book;
  }

  /** Books an all-reduce. */
  override startAllReduce(span: Span, options: AllReduceOptions = {}): Pending {
    const { size, index } = this, { length } = span, elementBytes = DTYPE_BYTES[span.dtype];
    const bytes = length * elementBytes,
      chosen = resolveAlgorithm(options.algorithm ?? this.algorithm, bytes, size);
    this.reductionOf(span, options);
    const chunk = (i: number) => lineChunkStart(length, size, i + 1) - lineChunkStart(length, size, i);
    if (chosen === "eager") return this.#add("allReduce", (size - 1) * bytes, options);
    if (chosen === "ordered") {
      return this.#add("allReduce", 2 * (size - 1) * chunk(index) * elementBytes, options);
    }
    // Around the ring a rank reads every chunk but one in each of the two rounds: see `ringChunk`.
    const sum = length - chunk(index) + length - chunk((index + 1) % size);
    return this.#add("allReduce", sum * elementBytes, options);
  }

  /** Books an all-reduce. */
  override allReduce(span: Span, options: AllReduceOptions = {}): void {
    this.startAllReduce(span, options);
  }

  /** Books a reduce-scatter. */
  override startReduceScatter(input: Span, _output: Span, options: ReduceScatterOptions = {}): Pending {
    this.reductionOf(input, options);
    return this.#add("reduceScatter", (this.size - 1) * this.#chunkBytes(input, options.row), options);
  }

  /** Books an all-gather. */
  override startAllGather(_input: Span, output: Span, options: ChunkOptions = {}): Pending {
    return this.#add("allGather", spanByteLength(output) - this.#chunkBytes(output, options.row), options);
  }

  /** Books a broadcast. */
  override startBroadcast(span: Span, rootIndex: number, options: OperationOptions = {}): Pending {
    return this.#add("broadcast", rootIndex === this.index ? 0 : spanByteLength(span), options);
  }

  /** Books an all-to-all. */
  override startAllToAll(input: Span, _output: Span, options: OperationOptions = {}): Pending {
    return this.#add("allToAll", (this.size - 1) * this.#chunkBytes(input), options);
  }

  /** Books a barrier. */
  override startBarrier(options: OperationOptions = {}): Pending {
    return this.#add("barrier", 0, options);
  }

  /** Books a barrier. */
  override barrier(options: OperationOptions = {}): void {
    this.startBarrier(options);
  }

  /** Books a message: who receives it moves its bytes. */
  override startSend(_span: Span, _toIndex: number, options: OperationOptions = {}): Pending {
    return this.#add("send", 0, options);
  }

  /** Books a message. */
  override startRecv(span: Span, _fromIndex: number, options: OperationOptions = {}): Pending {
    return this.#add("recv", spanByteLength(span), options);
  }

  /** Nothing is ever left to do. */
  override progressExcept(_current: unknown): boolean {
    return false;
  }

  #add(operation: OperationName, bytes: number, { label = "" }: OperationOptions): Pending {
    this.#book({ group: this.name, operation, label, bytes });
    return DONE;
  }

  #chunkBytes({ length, dtype }: Span, row?: number): number {
    return chunkOf(length, this.size, this.index, row).length * DTYPE_BYTES[dtype];
  }
}
