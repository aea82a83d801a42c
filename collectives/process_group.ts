import { DTYPE_BYTES, type Span, spanByteLength } from "../kernels/mod.ts";
import { type AlgorithmChoice, EAGER_MAX_BYTES, Reducer, resolveAlgorithm } from "./all_reduce.ts";
import { ChannelReceiver, ChannelSender, type Message } from "./channel.ts";
import { chunkOf } from "./chunks.ts";
import { ALGORITHMS } from "./descriptor.ts";
import { type GroupParts, GroupQueue } from "./group_queue.ts";
import { type Operation, reductionCode } from "./operation.ts";
import type { AllReduceOptions, BufferHeap, ChunkOptions } from "./options.ts";
import type { OperationOptions, ReduceOptions, ReduceScatterOptions } from "./options.ts";
import { Pending } from "./pending.ts";
import type { OperationName, RankStatus } from "./status.ts";
import {
  ALL_GATHER,
  ALL_REDUCE,
  ALL_TO_ALL,
  BARRIER,
  BROADCAST,
  REDUCE_SCATTER,
  workOperation,
} from "./work.ts";

const EAGER = ALGORITHMS.indexOf("eager");
const NOTHING: Span = { byteOffset: 0, length: 0, dtype: "i32" };

/**
 * Ordered ranks that talk, seen from one of them.
 *
 * Every member must call the same collectives in the same order. `start...` announces that the input is final and
 * returns at once; the result is there, and all spans may be used again, when the {@link Pending} is complete.
 * Announced operations go on during `progress()` and any wait of the rank. Up to 16 may be announced ahead.
 *
 * All operations throw `AbortError` if any rank of the world failed, `MismatchError` if members called different
 * operations, and `StallError` if a peer can never come; spans are then undefined.
 */
export class ProcessGroup {
  /** Name in the topology, such as "dp". */
  readonly name: string;
  /** Ranks of the members, in order. */
  readonly ranks: readonly number[];
  /** Place of this rank in the group. */
  readonly index: number;
  /** Of all-reduces that do not ask for one; the same on all members. */
  algorithm: AlgorithmChoice = "auto";
  readonly #parts: GroupParts;
  readonly #status: RankStatus;
  readonly #queue: GroupQueue;
  readonly #reducer: Reducer;
  readonly #senders: (ChannelSender | undefined)[] = [];
  readonly #receivers: (ChannelReceiver | undefined)[] = [];
  /** Byte offset of the slots of eager payloads. */
  readonly #eagerSlots: number;

  /** Made by `Endpoint.group`. */
  constructor(parts: GroupParts, status: RankStatus, heap: BufferHeap) {
    const { layout } = parts.control;
    const { name, ranks } = layout.topology.groups[parts.group];
    this.name = name;
    this.ranks = ranks;
    this.#parts = parts;
    this.#status = status;
    const allocate = (purpose: string, bytes: number) =>
      heap.allocate(`${purpose} of group ${name}`, bytes / 4, "buffers", "f32").byteOffset;
    this.index = ranks.indexOf(parts.rank);
    this.#reducer = new Reducer(this.index, ranks.length, (bytes) => allocate("scratch", bytes));
    this.#eagerSlots = ranks.length === 1 ? 0 : allocate("eager slots", layout.ringSlots * EAGER_MAX_BYTES);
    this.#queue = new GroupQueue(parts, (queue, operation) => workOperation(queue, operation, this.#reducer));
  }

  /** Number of members. */
  get size(): number {
    return this.ranks.length;
  }

  /** Announces an all-reduce: `span` becomes the elementwise sum (or maximum) over the group. */
  startAllReduce(span: Span, options: AllReduceOptions = {}): Pending {
    return this.#pending(this.#announceAllReduce(span, options));
  }

  /**
   * Replaces `span` on every rank of the group by the elementwise sum (or maximum) over the group.
   *
   * The order of summation is a binary tree over the places in the group (`ring`: around the ring), so results are
   * identical on all ranks and from run to run.
   *
   * Cost: `eager` one phase, each rank reads n - 1 payloads; others move 2(n-1)/n x the payload per rank.
   */
  allReduce(span: Span, options: AllReduceOptions = {}): void {
    this.#queue.waitFor(this.#announceAllReduce(span, options));
  }

  /** Announces a reduce-scatter; see {@link reduceScatter}. */
  startReduceScatter(input: Span, output: Span, options: ReduceScatterOptions = {}): Pending {
    this.#checkLength("reduceScatter", output, this.#chunkLength(input.length, options.row));
    const reduction = this.reductionOf(input, options);
    const operation = this.#open(REDUCE_SCATTER, input.length, output, options);
    operation.reduction = reduction;
    return this.#pending(this.#announceInput(operation, input, true));
  }

  /**
   * Gives this rank its chunk (`chunkOf(input.length, size, index, row)`) of the sum of all inputs, in the bits that
   * all-reduce gives. `output` may be that chunk of `input` itself.
   */
  reduceScatter(input: Span, output: Span, options: ReduceScatterOptions = {}): void {
    this.startReduceScatter(input, output, options).wait();
  }

  /** Announces an all-gather; see {@link allGather}. */
  startAllGather(input: Span, output: Span, options: ChunkOptions = {}): Pending {
    this.#checkLength("allGather", input, this.#chunkLength(output.length, options.row));
    const operation = this.#open(ALL_GATHER, output.length, output, options);
    return this.#pending(this.#announceInput(operation, input, true));
  }

  /**
   * Fills `output` with the chunks of all members; `input` is this rank's, of
   * `chunkOf(output.length, size, index, row)` elements, and may be that chunk of `output` itself.
   */
  allGather(input: Span, output: Span, options: ChunkOptions = {}): void {
    this.startAllGather(input, output, options).wait();
  }

  /** Announces a broadcast; see {@link broadcast}. */
  startBroadcast(span: Span, rootIndex: number, options: OperationOptions = {}): Pending {
    this.#checkIndex("broadcast from", rootIndex);
    const operation = this.#open(BROADCAST, span.length, span, options);
    operation.detail = rootIndex;
    return this.#pending(this.#announceInput(operation, span, rootIndex === this.index));
  }

  /** Replaces `span` on every rank by that of the member at `rootIndex`. */
  broadcast(span: Span, rootIndex: number, options: OperationOptions = {}): void {
    this.startBroadcast(span, rootIndex, options).wait();
  }

  /** Announces an all-to-all; see {@link allToAll}. */
  startAllToAll(input: Span, output: Span, options: OperationOptions = {}): Pending {
    this.#checkLength("allToAll", output, this.size * this.#chunkLength(input.length));
    const operation = this.#open(ALL_TO_ALL, input.length, output, options);
    return this.#pending(this.#announceInput(operation, input, true));
  }

  /**
   * Sends chunk j of `input` to member j, for all j. `output` gets this rank's chunk of every member, in the order
   * of members; it must not overlap `input`.
   */
  allToAll(input: Span, output: Span, options: OperationOptions = {}): void {
    this.startAllToAll(input, output, options).wait();
  }

  /** Announces a barrier; see {@link barrier}. */
  startBarrier(options: OperationOptions = {}): Pending {
    return this.#pending(this.#announceBarrier(options));
  }

  /** Returns when every member has called it; what they wrote before is then visible. */
  barrier(options: OperationOptions = {}): void {
    this.#queue.waitFor(this.#announceBarrier(options));
  }

  /** Announces a message to a member; complete when it has been received and `span` may be written again. */
  startSend(span: Span, toIndex: number, options: OperationOptions = {}): Pending {
    const sender = this.#sender(toIndex);
    return new Pending(sender, sender.post(this.#message(span, options)));
  }

  /** Sends a message to a member and waits until it has been received. */
  send(span: Span, toIndex: number, options: OperationOptions = {}): void {
    this.startSend(span, toIndex, options).wait();
  }

  /** Asks for the next message of a member; complete when it is in `span`. */
  startRecv(span: Span, fromIndex: number, options: OperationOptions = {}): Pending {
    const receiver = this.#receiver(fromIndex);
    return new Pending(receiver, receiver.post(this.#message(span, options)));
  }

  /** Receives the next message of a member, which must have the size of `span`. */
  recv(span: Span, fromIndex: number, options: OperationOptions = {}): void {
    this.startRecv(span, fromIndex, options).wait();
  }

  /** Goes on with announced operations without waiting; true if some are left. Call it between kernels. */
  progress(): boolean {
    return this.progressExcept(undefined);
  }

  /** As {@link progress}, but leaves out what is being waited for; for the waits of the same rank. */
  progressExcept(current: unknown): boolean {
    let isPending = this.#queue !== current && this.#queue.isPending && this.#queue.progress();
    for (const sender of this.#senders) {
      if (sender !== undefined && sender !== current && sender.progress()) isPending = true;
    }
    for (const receiver of this.#receivers) {
      if (receiver !== undefined && receiver !== current && receiver.progress()) isPending = true;
    }
    return isPending;
  }

  /** The code of a reduction; takes the scratch that it needs. */
  protected reductionOf({ dtype }: Span, { reduction = "sum" }: ReduceOptions): number {
    this.#reducer.reserve(dtype);
    return reductionCode(reduction, dtype);
  }

  #announceAllReduce(span: Span, options: AllReduceOptions): number {
    const reduction = this.reductionOf(span, options), bytes = spanByteLength(span);
    const chosen = resolveAlgorithm(options.algorithm ?? this.algorithm, bytes, this.size);
    const operation = this.#open(ALL_REDUCE, span.length, span, options);
    operation.reduction = reduction;
    operation.algorithm = ALGORITHMS.indexOf(chosen);
    if (operation.algorithm !== EAGER) return this.#announceInput(operation, span, true);
    if (this.size > 1) {
      operation.published = this.#eagerSlots +
        (operation.sequence & (this.#parts.control.layout.ringSlots - 1)) * EAGER_MAX_BYTES;
      this.#parts.links[this.#parts.rank].copyFromPeer(operation.published, span.byteOffset, bytes);
    }
    operation.needsAllDone = false;
    this.#queue.announce(operation);
    return operation.sequence;
  }

  #announceBarrier(options: OperationOptions): number {
    return this.#announceInput(this.#open(BARRIER, 0, NOTHING, options), NOTHING, false);
  }

  #open(kind: number, length: number, output: Span, options: ChunkOptions): Operation {
    const operation = this.#queue.open();
    operation.kind = kind;
    operation.algorithm = operation.reduction = 0;
    operation.detail = options.row ?? 1;
    operation.length = length;
    operation.elementBytes = DTYPE_BYTES[output.dtype];
    operation.output = output.byteOffset;
    operation.label = this.#status.label(options.label);
    return operation;
  }

  #announceInput(operation: Operation, input: Span, needsAllDone: boolean): number {
    operation.input = operation.published = input.byteOffset;
    operation.needsAllDone = needsAllDone;
    this.#queue.announce(operation);
    return operation.sequence;
  }

  #pending(sequence: number): Pending {
    return new Pending(this.#queue, sequence);
  }

  #message(span: Span, options: OperationOptions): Message {
    const { byteOffset } = span;
    return { byteOffset, byteLength: spanByteLength(span), label: this.#status.label(options.label) };
  }

  #sender(toIndex: number): ChannelSender {
    this.#checkIndex("send to", toIndex);
    return this.#senders[toIndex] ??= new ChannelSender(this.#parts, { from: this.index, to: toIndex });
  }

  #receiver(fromIndex: number): ChannelReceiver {
    this.#checkIndex("recv from", fromIndex);
    return this.#receivers[fromIndex] ??= new ChannelReceiver(this.#parts, {
      from: fromIndex,
      to: this.index,
    });
  }

  #chunkLength(length: number, row?: number): number {
    return chunkOf(length, this.size, this.index, row).length;
  }

  #checkLength(operation: OperationName, span: Span, length: number): void {
    if (span.length === length) return;
    throw new RangeError(
      `Cannot ${operation} with a span of ${span.length} elements: member ${this.index} of ${this.size} needs ${length}`,
    );
  }

  #checkIndex(what: string, index: number): void {
    if (Number.isInteger(index) && index >= 0 && index < this.size) return;
    throw new RangeError(
      `Cannot ${what} member ${index} of group ${this.name}: it has members 0..${this.size - 1}`,
    );
  }
}
