/** Our training as a contestant: run with and without V8's flags, on any layout. */
import { prepareTraining, startTraining, type TrainOptions } from "../../train/mod.ts";
import { serve } from "../serve.ts";
import { PROBLEM_OPTIONS } from "./step_problem.ts";
import type { StepAnswer, StepSetUp, StepTask } from "./step_task.ts";

/** Options of a layout, such as `{ dp: 2 }`. */
export type Layout = Pick<TrainOptions, "dp" | "tp" | "pp" | "microBatch" | "schedule" | "numerics">;

/** Trains from the start for so many steps. */
export async function trainSteps(
  { model, recipe }: Pick<StepSetUp, "model" | "recipe">,
  layout: Layout,
  { warmUps, steps }: StepTask,
): Promise<StepAnswer> {
  const { lr, beta1, beta2, weightDecay } = recipe;
  const training = await startTraining(
    await prepareTraining({
      ...{ ...model, ...layout, ...PROBLEM_OPTIONS, lr, minLr: lr, beta1, beta2, weightDecay },
      ...{ steps: warmUps + steps, warmup: 0, gradClip: 0, evalEvery: 0 },
    }),
  );
  const ms: number[] = [], losses: number[] = [];
  for await (const { step, stepMs, loss } of training) {
    if (step >= warmUps) ms.push(stepMs);
    losses.push(loss);
  }
  return { ms, losses };
}

if (import.meta.main) {
  await serve(({ layout, ...setUp }: StepSetUp & { layout: Layout }) =>
    Promise.resolve((task: StepTask) => trainSteps(setUp, layout, task))
  );
}
