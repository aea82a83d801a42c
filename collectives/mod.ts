/**
 * Collective operations between devices: lock-free protocols on words of shared memory, arithmetic straight on the
 * peers' memories. Nothing here knows tensors, only flat spans.
 *
 * ```ts ignore
 * // launcher, once:
 * const topology = { worldSize: 2, groups: [{ name: "dp", ranks: [0, 1] }] };
 * const buffer = ControlBlock.initialize(topology);
 * // every worker, with the memories of all devices:
 * const endpoint = Endpoint.attach({ buffer, topology, rank, memories, heap });
 * const dp = endpoint.group("dp");
 * const pending = dp.startAllReduce(gradients, { label: "bucket 0" });
 * while (moreKernels()) endpoint.progress();
 * pending.wait();
 * ```
 *
 * The words, who writes them and why it is correct: docs/memory_model.md.
 *
 * @module
 */
export { AbortError, AbortWord, type FirstCause, MismatchError, StallError } from "./control/abort.ts";
export { type AlgorithmChoice, chooseAlgorithm, EAGER_MAX_BYTES } from "./algorithms/all_reduce.ts";
export { type Chunk, chunkOf } from "./algorithms/chunks.ts";
export {
  ControlBlock,
  ControlLayout,
  type GroupTopology,
  type LayoutOptions,
  type Topology,
} from "./control/control_block.ts";
export { type Algorithm, ALGORITHMS } from "./control/descriptor.ts";
export { type AttachOptions, Endpoint, type EndpointParts } from "./endpoint.ts";
export type { Group } from "./group.ts";
export type { MemberPlace } from "./group_buffers.ts";
export { Ledger, type LedgerEntry } from "./control/ledger.ts";
export type { Reduction } from "./algorithms/operation.ts";
export { Pending, type PendingOwner } from "./pending.ts";
export type * from "./options.ts";
export { PlannedGroup, type PlannedOperation } from "./planned_group.ts";
export {
  describeStatus,
  describeWorld,
  type OperationName,
  OPERATIONS,
  RankStatus,
  readLabel,
  readStatus,
  type State,
  STATES,
  type StatusReport,
  type WaitPoint,
  type WaitReport,
} from "./control/status.ts";
export { Tickets } from "./tickets.ts";
export { type Waitable, Waiter, type WaitOptions } from "./control/wait.ts";
export type { Words } from "./control/words.ts";
