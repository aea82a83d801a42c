import type { Device } from "../../actors/mod.ts";
import type { TrainJob, TrainResult } from "../../train/mod.ts";
import trainProgram from "../../train/step/train_program.ts";

/** What {@link highProgram} is handed. */
export interface HighJob {
  /** Where every rank's tensors start, by rank. */
  readonly startBytes: readonly number[];
  /** What is trained. */
  readonly job: TrainJob;
}

/** Trains as `train_program.ts` does, above what lies before. */
export default function highProgram(device: Device, { startBytes, job }: HighJob): Promise<TrainResult> {
  device.heap.allocate("what lies before", startBytes[device.rank] / 4, "activations");
  return trainProgram(device, job);
}
