import type { Device } from "../../../actors/mod.ts";
import { ProcessGroup } from "../../../collectives/process_group.ts";
import type { TrainJob } from "../../../train/mod.ts";
import trainProgram from "../../../train/step/train_program.ts";

/** Who dies, and when. */
export interface Kill {
  readonly rank: number;
  /** Operations of groups that the rank announces before it dies; above all of them, nobody dies. */
  readonly operation: number;
}

/** Milliseconds since 1970: a worker and its launcher have the same clock, but count from other times. */
const epochMs = () => performance.timeOrigin + performance.now();

/** What announces the operations of a data-parallel run; others of their kind call these. */
const OPERATIONS = ["startAllReduce", "allReduce", "startAllGather", "startBarrier", "barrier"] as const;

/** Trains as every rank does; one of them dies instead of announcing an operation. Returns how many it announced. */
export default async function run(
  device: Device,
  { job, kill }: { readonly job: TrainJob; readonly kill: Kill },
): Promise<number> {
  let count = 0;
  for (const name of OPERATIONS) {
    const original = ProcessGroup.prototype[name] as (...args: unknown[]) => unknown;
    const counted = function (this: ProcessGroup, ...args: unknown[]) {
      if (device.rank === kill.rank && count++ === kill.operation) throw new Error(`killed at ${epochMs()}`);
      return original.apply(this, args);
    };
    Object.defineProperty(ProcessGroup.prototype, name, { value: counted });
  }
  await trainProgram(device, job);
  return count;
}
