import { DeviceError, launch } from "../../../actors/mod.ts";
import { prepareTraining, type TrainOptions } from "../../../train/mod.ts";
import { within } from "../../support/deadline.ts";
import type { Drift } from "./drift_program.ts";

/** The error of a run in which one rank goes wrong; fails if the run ends well. */
export async function errorOfDrift(options: TrainOptions, drift: Drift): Promise<DeviceError> {
  const { job, mesh } = await prepareTraining(options);
  const world = launch({
    program: import.meta.resolve("./drift_program.ts"),
    config: { job, drift },
    topology: mesh.topology(),
    deviceMemoryBytes: job.config.deviceMemoryBytes,
  });
  const error = await within(world.done.then(() => undefined, (error) => error));
  if (!(error instanceof DeviceError)) throw new Error(`nobody noticed: ${error}`);
  return error;
}
