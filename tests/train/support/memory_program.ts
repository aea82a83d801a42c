import type { Device } from "../../../actors/mod.ts";
import type { ByteTable } from "../../../kernels/mod.ts";
import type { TrainJob } from "../../../train/mod.ts";
import trainProgram from "../../../train/step/train_program.ts";

/** Trains as every rank does; returns what this rank's memory is spent on at the end. */
export default async function run(device: Device, job: TrainJob): Promise<ByteTable> {
  await trainProgram(device, job);
  return device.heap.usedBytes();
}
