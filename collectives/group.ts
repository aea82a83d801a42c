import type { Span } from "../kernels/mod.ts";
import type { AlgorithmChoice } from "./algorithms/all_reduce.ts";
import type { AllReduceOptions, ChunkOptions } from "./options.ts";
import type { OperationOptions, ReduceScatterOptions } from "./options.ts";
import type { Pending } from "./pending.ts";

/**
 * Ordered ranks that talk, seen from one of them: all that strategies and programs know of communication.
 *
 * `ProcessGroup` is one over shared memory, `PlannedGroup` only books what it would move. Every member must call the same
 * collectives in the same order; messages are paired with those of one peer only. An operation has two forms:
 *
 * - `start...` announces that the input is final and returns at once. The result is there, and all spans may be used
 *   again, when the {@link Pending} is complete. Announced operations go on during {@link progress} and any wait of the
 *   rank. 16 may be announced ahead (of messages 4 per peer, more are queued); the next one waits.
 * - the other form returns when the operation is complete.
 *
 * Spans lie in this device's memory. n is the size of the group, P the bytes of the larger span; costs are per rank.
 *
 * All operations throw `AbortError` if any rank of the world failed, `MismatchError` if members called different
 * operations, and `StallError` if a peer can never come; spans are then undefined. A `RangeError` says that lengths or a
 * member are wrong, before anything is announced.
 */
export interface Group {
  /** Name in the topology, such as "dp". */
  readonly name: string;
  /** Ranks of the members in the world, in order. */
  readonly ranks: readonly number[];
  /** Number of members. */
  readonly size: number;
  /** Place of this rank in the group. */
  readonly index: number;
  /** Of all-reduces that do not ask for one; the same on all members. By default "auto". */
  algorithm: AlgorithmChoice;

  /** Announces an all-reduce; see {@link allReduce}. */
  startAllReduce(span: Span, options?: AllReduceOptions): Pending;
  /**
   * Replaces `span` on every rank of the group by the elementwise sum (or maximum) over the group.
   *
   * The order of summation is a binary tree over the places in the group (`ring`: around the ring), so results are
   * identical on all ranks and from run to run.
   *
   * Cost: `eager` one phase, each rank reads n - 1 payloads; others move 2 (n-1)/n P.
   *
   * @throws {TypeError} If elements of that type cannot be reduced so.
   */
  allReduce(span: Span, options?: AllReduceOptions): void;

  /** Announces a reduce-scatter; see {@link reduceScatter}. */
  startReduceScatter(input: Span, output: Span, options?: ReduceScatterOptions): Pending;
  /**
   * Gives this rank its chunk (`chunkOf(input.length, size, index, row)`) of the sum of all inputs, in the bits that
   * all-reduce gives. `output` may be that chunk of `input` itself.
   *
   * Cost: (n-1)/n P.
   *
   * @throws {TypeError} If elements of that type cannot be reduced so.
   */
  reduceScatter(input: Span, output: Span, options?: ReduceScatterOptions): void;

  /** Announces an all-gather; see {@link allGather}. */
  startAllGather(input: Span, output: Span, options?: ChunkOptions): Pending;
  /**
   * Fills `output` with the chunks of all members; `input` is this rank's, of
   * `chunkOf(output.length, size, index, row)` elements, and may be that chunk of `output` itself.
   *
   * Cost: (n-1)/n P.
   */
  allGather(input: Span, output: Span, options?: ChunkOptions): void;

  /** Announces a broadcast; see {@link broadcast}. */
  startBroadcast(span: Span, rootIndex: number, options?: OperationOptions): Pending;
  /**
   * Replaces `span` on every rank by that of the member at `rootIndex`.
   *
   * Cost: P, at the root nothing.
   */
  broadcast(span: Span, rootIndex: number, options?: OperationOptions): void;

  /** Announces an all-to-all; see {@link allToAll}. */
  startAllToAll(input: Span, output: Span, options?: OperationOptions): Pending;
  /**
   * Sends chunk j of `input` to member j, for all j. `output` gets this rank's chunk of every member, in the order
   * of members; it must not overlap `input`.
   *
   * Cost: (n-1)/n P.
   */
  allToAll(input: Span, output: Span, options?: OperationOptions): void;

  /** Announces a barrier; see {@link barrier}. */
  startBarrier(options?: OperationOptions): Pending;
  /** Returns when every member has called it; what they wrote before is then visible. */
  barrier(options?: OperationOptions): void;

  /** Announces a message to a member; complete when it has been received and `span` may be written again. */
  startSend(span: Span, toIndex: number, options?: OperationOptions): Pending;
  /** Sends a message to a member and waits until it has been received. Cost: nothing, the receiver moves it. */
  send(span: Span, toIndex: number, options?: OperationOptions): void;

  /** Asks for the next message of a member; complete when it is in `span`. */
  startRecv(span: Span, fromIndex: number, options?: OperationOptions): Pending;
  /** Receives the next message of a member, which must have the size of `span`. Cost: P. */
  recv(span: Span, fromIndex: number, options?: OperationOptions): void;

  /** Goes on with announced operations without waiting; true if some are left. Call it between kernels. */
  progress(): boolean;
}
