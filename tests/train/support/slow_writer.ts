/** A program whose first rank needs long to write its tensors, and then to train on. */
import type { Device } from "../../../actors/mod.ts";
import { saveCheckpoint, type TrainJob } from "../../../train/mod.ts";

/** Milliseconds that the first rank writes. */
export const WRITING_MS = 900;

export default async function slowWriter(device: Device, job: TrainJob): Promise<string | undefined> {
  device.enter(1, "checkpoint");
  const writeTensors = async () => {
    if (device.rank === 0) await new Promise((resolve) => setTimeout(resolve, WRITING_MS));
  };
  const path = await saveCheckpoint(device, { writeTensors }, job, { step: 1, losses: [1], samples: 1 });
  device.enter(1, "forward");
  // Time in the checkpoint does not count afterwards, either.
  if (device.rank === 0) await new Promise((resolve) => setTimeout(resolve, 150));
  device.group("world").barrier({ label: "next step" });
  return path;
}
