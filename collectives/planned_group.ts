import { DTYPE_BYTES, type Span, spanByteLength } from "../kernels/mod.ts";
import { type AlgorithmChoice, resolveAlgorithm } from "./algorithms/all_reduce.ts";
import { chunkOf, lineChunkStart } from "./algorithms/chunks.ts";
import type { Group } from "./group.ts";
import { GroupBuffers, type MemberPlace } from "./group_buffers.ts";
import { checkAllGather, checkAllToAll, checkMember, checkReduceScatter } from "./group_checks.ts";
import type { AllReduceOptions, BufferHeap, ChunkOptions } from "./options.ts";
import type { OperationOptions, ReduceScatterOptions } from "./options.ts";
import { Pending } from "./pending.ts";
import type { OperationName } from "./control/status.ts";

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
 * A group on paper: it takes the buffers of one over shared memory, refuses what that refuses, and books what its
 * operations would move. There are no words and no peers, so nothing is ever waited for.
 *
 * Of a payload of P bytes in a group of n: all-reduce 2 P (n-1)/n per rank (a small one P (n-1), in one phase),
 * reduce-scatter, all-gather and all-to-all P (n-1)/n, a broadcast and a message P for who receives. Chunks are whole
 * elements or lines, so the bytes of a rank are those of the chunk that it owns.
 */
export class PlannedGroup implements Group {
  /** Name in the topology. */
  readonly name: string;
  /** Ranks of the members, in order. */
  readonly ranks: readonly number[];
  /** Place of this rank in the group. */
  readonly index: number;
  /** Of all-reduces that do not ask for one. */
  algorithm: AlgorithmChoice = "auto";
  readonly #buffers: GroupBuffers;
  readonly #book: (operation: PlannedOperation) => void;

  /** Allocates what a member takes; `book` is told of every operation. */
  constructor(place: MemberPlace, heap: BufferHeap, book: (operation: PlannedOperation) => void) {
    const { name, ranks } = place.layout.topology.groups[place.group];
    this.name = name;
    this.ranks = ranks;
    this.index = ranks.indexOf(place.rank);
    this.#buffers = new GroupBuffers(place, heap);
    this.#book = book;
  }

  /** Number of members. */
  get size(): number {
    return this.ranks.length;
  }

  /** Books an all-reduce. */
  startAllReduce(span: Span, options: AllReduceOptions = {}): Pending {
    this.#buffers.reductionOf(span, options);
    const { size, index } = this, { length } = span, elementBytes = DTYPE_BYTES[span.dtype];
    const bytes = length * elementBytes;
    const chosen = resolveAlgorithm(options.algorithm ?? this.algorithm, bytes, size);
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
  allReduce(span: Span, options: AllReduceOptions = {}): void {
    this.startAllReduce(span, options);
  }

  /** Books a reduce-scatter. */
  startReduceScatter(input: Span, output: Span, options: ReduceScatterOptions = {}): Pending {
    checkReduceScatter(this, input, output, options.row);
    this.#buffers.reductionOf(input, options);
    return this.#add("reduceScatter", (this.size - 1) * this.#chunkBytes(input, options.row), options);
  }

  /** Books a reduce-scatter. */
  reduceScatter(input: Span, output: Span, options: ReduceScatterOptions = {}): void {
    this.startReduceScatter(input, output, options);
  }

  /** Books an all-gather. */
  startAllGather(input: Span, output: Span, options: ChunkOptions = {}): Pending {
    checkAllGather(this, input, output, options.row);
    return this.#add("allGather", spanByteLength(output) - this.#chunkBytes(output, options.row), options);
  }

  /** Books an all-gather. */
  allGather(input: Span, output: Span, options: ChunkOptions = {}): void {
    this.startAllGather(input, output, options);
  }

  /** Books a broadcast. */
  startBroadcast(span: Span, rootIndex: number, options: OperationOptions = {}): Pending {
    checkMember(this, "broadcast from", rootIndex);
    return this.#add("broadcast", rootIndex === this.index ? 0 : spanByteLength(span), options);
  }

  /** Books a broadcast. */
  broadcast(span: Span, rootIndex: number, options: OperationOptions = {}): void {
    this.startBroadcast(span, rootIndex, options);
  }

  /** Books an all-to-all. */
  startAllToAll(input: Span, output: Span, options: OperationOptions = {}): Pending {
    checkAllToAll(this, input, output);
    return this.#add("allToAll", (this.size - 1) * this.#chunkBytes(input), options);
  }

  /** Books an all-to-all. */
  allToAll(input: Span, output: Span, options: OperationOptions = {}): void {
    this.startAllToAll(input, output, options);
  }

  /** Books a barrier. */
  startBarrier(options: OperationOptions = {}): Pending {
    return this.#add("barrier", 0, options);
  }

  /** Books a barrier. */
  barrier(options: OperationOptions = {}): void {
    this.startBarrier(options);
  }

  /** Books a message: who receives it moves its bytes. */
  startSend(_span: Span, toIndex: number, options: OperationOptions = {}): Pending {
    checkMember(this, "send to", toIndex);
    return this.#add("send", 0, options);
  }

  /** Books a message. */
  send(span: Span, toIndex: number, options: OperationOptions = {}): void {
    this.startSend(span, toIndex, options);
  }

  /** Books a message. */
  startRecv(span: Span, fromIndex: number, options: OperationOptions = {}): Pending {
    checkMember(this, "recv from", fromIndex);
    return this.#add("recv", spanByteLength(span), options);
  }

  /** Books a message. */
  recv(span: Span, fromIndex: number, options: OperationOptions = {}): void {
    this.startRecv(span, fromIndex, options);
  }

  /** Nothing is ever left to do. */
  progress(): boolean {
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
