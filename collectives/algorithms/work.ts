import { type Reducer, workAllReduce } from "./all_reduce.ts";
import { workAllGather } from "./all_gather.ts";
import { workAllToAll } from "./all_to_all.ts";
import { workBarrier } from "./barrier.ts";
import { workBroadcast } from "./broadcast.ts";
import type { GroupQueue } from "../group_queue.ts";
import type { Operation } from "./operation.ts";
import { workReduceScatter } from "./reduce_scatter.ts";
import { operationCode } from "../control/status.ts";

/** Codes of the operations of a group in its descriptors. */
export const ALL_REDUCE = operationCode("allReduce"), REDUCE_SCATTER = operationCode("reduceScatter");
/** As {@link ALL_REDUCE}. */
export const ALL_GATHER = operationCode("allGather"), BROADCAST = operationCode("broadcast");
/** As {@link ALL_REDUCE}. */
export const ALL_TO_ALL = operationCode("allToAll"), BARRIER = operationCode("barrier");

/** Does what can be done of an announced operation; true when this rank's part is done. */
export function workOperation(queue: GroupQueue, operation: Operation, reducer: Reducer): boolean {
  switch (operation.kind) {
    case ALL_REDUCE:
      return workAllReduce(queue, operation, reducer);
    case REDUCE_SCATTER:
      return workReduceScatter(queue, operation, reducer);
    case ALL_GATHER:
      return workAllGather(queue, operation);
    case BROADCAST:
      return workBroadcast(queue, operation);
    case ALL_TO_ALL:
      return workAllToAll(queue, operation);
    default:
      return workBarrier();
  }
}
