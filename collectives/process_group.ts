import { DTYPE_BYTES, type Span, spanByteLength } from "../kernels/mod.ts";
import { type AlgorithmChoice, resolveAlgorithm } from "./algorithms/all_reduce.ts";
import { ChannelReceiver, ChannelSender, type Message } from "./channel.ts";
import { ALGORITHMS } from "./control/descriptor.ts";
import type { Group } from "./group.ts";
import { GroupBuffers } from "./group_buffers.ts";
import { checkAllGather, checkAllToAll, checkMember, checkReduceScatter } from "./group_checks.ts";
import type { GroupParts } from "./group_parts.ts";
import { GroupQueue } from "./group_queue.ts";
import type { Operation } from "./algorithms/operation.ts";
import type { AllReduceOptions, BufferHeap, ChunkOptions } from "./options.ts";
import type { OperationOptions, ReduceScatterOptions } from "./options.ts";
import { Pending } from "./pending.ts";
import type { RankStatus } from "./control/status.ts";
import {
  ALL_GATHER,
  ALL_REDUCE,
  ALL_TO_ALL,
  BARRIER,
  BROADCAST,
  REDUCE_SCATTER,
  workOperation,
} from "./algorithms/work.ts";

const EAGER = ALGORITHMS.indexOf("eager");
const NOTHING: Span = { byteOffset: 0, length: 0, dtype: "i32" };

/**
 * A group over shared memory: an announced operation is a descriptor in the control block, and the payload stays where it
 * is until peers read or write it there.
 *
 * A blocking form that is in the hot path makes no {@link Pending}.
 */
export class ProcessGroup implements Group {
  readonly name: string;
  readonly ranks: readonly number[];
  readonly index: number;
  algorithm: AlgorithmChoice = "auto";
  readonly #parts: GroupParts;
  readonly #status: RankStatus;
  readonly #buffers: GroupBuffers;
  readonly #queue: GroupQueue;
  readonly #senders: (ChannelSender | undefined)[] = [];
  readonly #receivers: (ChannelReceiver | undefined)[] = [];

  /** Made by `Endpoint.group`. */
  constructor(parts: GroupParts, status: RankStatus, heap: BufferHeap) {
    const { control: { layout }, group, rank } = parts, { name, ranks } = layout.topology.groups[group];
    this.name = name;
    this.ranks = ranks;
    this.index = ranks.indexOf(rank);
    this.#parts = parts;
    this.#status = status;
    this.#buffers = new GroupBuffers({ layout, group, rank }, heap);
    const { reducer } = this.#buffers;
    this.#queue = new GroupQueue(parts, (queue, operation) => workOperation(queue, operation, reducer));
  }

  get size(): number {
    return this.ranks.length;
  }

  startAllReduce(span: Span, options: AllReduceOptions = {}): Pending {
    return this.#pending(this.#announceAllReduce(span, options));
  }

  allReduce(span: Span, options: AllReduceOptions = {}): void {
    this.#queue.waitFor(this.#announceAllReduce(span, options));
  }

  startReduceScatter(input: Span, output: Span, options: ReduceScatterOptions = {}): Pending {
    checkReduceScatter(this, input, output, options.row);
    const reduction = this.#buffers.reductionOf(input, options);
    const operation = this.#open(REDUCE_SCATTER, input.length, output, options);
    operation.reduction = reduction;
    return this.#pending(this.#announceInput(operation, input, true));
  }

  reduceScatter(input: Span, output: Span, options: ReduceScatterOptions = {}): void {
    this.startReduceScatter(input, output, options).wait();
  }

  startAllGather(input: Span, output: Span, options: ChunkOptions = {}): Pending {
    checkAllGather(this, input, output, options.row);
    const operation = this.#open(ALL_GATHER, output.length, output, options);
    return this.#pending(this.#announceInput(operation, input, true));
  }

  allGather(input: Span, output: Span, options: ChunkOptions = {}): void {
    this.startAllGather(input, output, options).wait();
  }

  startBroadcast(span: Span, rootIndex: number, options: OperationOptions = {}): Pending {
    checkMember(this, "broadcast from", rootIndex);
    const operation = this.#open(BROADCAST, span.length, span, options);
    operation.detail = rootIndex;
    return this.#pending(this.#announceInput(operation, span, rootIndex === this.index));
  }

  broadcast(span: Span, rootIndex: number, options: OperationOptions = {}): void {
    this.startBroadcast(span, rootIndex, options).wait();
  }

  startAllToAll(input: Span, output: Span, options: OperationOptions = {}): Pending {
    checkAllToAll(this, input, output);
    const operation = this.#open(ALL_TO_ALL, input.length, output, options);
    return this.#pending(this.#announceInput(operation, input, true));
  }

  allToAll(input: Span, output: Span, options: OperationOptions = {}): void {
    this.startAllToAll(input, output, options).wait();
  }

  startBarrier(options: OperationOptions = {}): Pending {
    return this.#pending(this.#announceBarrier(options));
  }

  barrier(options: OperationOptions = {}): void {
    this.#queue.waitFor(this.#announceBarrier(options));
  }

  startSend(span: Span, toIndex: number, options: OperationOptions = {}): Pending {
    const sender = this.#sender(toIndex);
    return new Pending(sender, sender.post(this.#message(span, options)));
  }

  send(span: Span, toIndex: number, options: OperationOptions = {}): void {
    this.startSend(span, toIndex, options).wait();
  }

  startRecv(span: Span, fromIndex: number, options: OperationOptions = {}): Pending {
    const receiver = this.#receiver(fromIndex);
    return new Pending(receiver, receiver.post(this.#message(span, options)));
  }

  recv(span: Span, fromIndex: number, options: OperationOptions = {}): void {
    this.startRecv(span, fromIndex, options).wait();
  }

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

  #announceAllReduce(span: Span, options: AllReduceOptions): number {
    const reduction = this.#buffers.reductionOf(span, options), bytes = spanByteLength(span);
    const chosen = resolveAlgorithm(options.algorithm ?? this.algorithm, bytes, this.size);
    const operation = this.#open(ALL_REDUCE, span.length, span, options);
    operation.reduction = reduction;
    operation.algorithm = ALGORITHMS.indexOf(chosen);
    if (operation.algorithm !== EAGER) return this.#announceInput(operation, span, true);
    if (this.size > 1) {
      operation.published = this.#buffers.eagerSlot(operation.sequence);
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
    checkMember(this, "send to", toIndex);
    return this.#senders[toIndex] ??= new ChannelSender(this.#parts, { from: this.index, to: toIndex });
  }

  #receiver(fromIndex: number): ChannelReceiver {
    checkMember(this, "recv from", fromIndex);
    return this.#receivers[fromIndex] ??= new ChannelReceiver(this.#parts, {
      from: fromIndex,
      to: this.index,
    });
  }
}
