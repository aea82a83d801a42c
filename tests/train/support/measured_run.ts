import { launch } from "../../../actors/mod.ts";
import type { ByteTable } from "../../../kernels/mod.ts";
import { prepareTraining, type RunPlan, type StepRecord, type TrainOptions } from "../../../train/mod.ts";
import { within } from "../../support/deadline.ts";
import { pool } from "../../support/pool.ts";

/** A run with its plan. */
export interface MeasuredRun {
  readonly plan: RunPlan;
  /** By rank: what its memory was spent on at the end. */
  readonly bytes: readonly ByteTable[];
  readonly steps: readonly StepRecord[];
}

/** Trains to the end, every rank on a worker. */
export async function measureRun(options: TrainOptions): Promise<MeasuredRun> {
  const { job, mesh, plan } = await prepareTraining(options), steps: StepRecord[] = [];
  const world = launch({
    program: import.meta.resolve("./memory_program.ts"),
    config: job,
    topology: mesh.topology(),
    deviceMemoryBytes: job.config.deviceMemoryBytes,
    pool,
    onReport: (_rank, event) => {
      if ((event as StepRecord).type === "step") steps.push(event as StepRecord);
    },
  });
  return { plan, bytes: await within(world.done) as ByteTable[], steps };
}
