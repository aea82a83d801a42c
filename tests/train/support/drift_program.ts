import type { Device } from "../../../actors/mod.ts";
import type { TrainJob } from "../../../train/mod.ts";
import trainProgram from "../../../train/step/train_program.ts";

/** Where a replica goes wrong. */
export interface Drift {
  readonly rank: number;
  /** The update of this step is followed by the fault. */
  readonly step: number;
  /** Name of the layer or of the shared parameter whose values the rank keeps together. */
  readonly bucket: string;
}

/** Trains as every rank does; one of them loses the lowest bit of one value on its way. */
export default async function run(
  device: Device,
  { job, drift }: { readonly job: TrainJob; readonly drift: Drift },
): Promise<void> {
  const { heap } = device, allocate = heap.allocate.bind(heap), enter = device.enter.bind(device);
  let target: ReturnType<typeof allocate> | undefined;
  heap.allocate = (name, length, category, dtype) => {
    const span = allocate(name, length, category, dtype);
    if (category === "parameters" && name.endsWith(`values of ${drift.bucket}`)) target = span;
    return span;
  };
  device.enter = (step, phase) => {
    enter(step, phase);
    if (device.rank === drift.rank && step === drift.step && phase === "exchange") heap.i32(target!)[1] ^= 1;
  };
  await trainProgram(device, job);
}
