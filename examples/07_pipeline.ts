/**
 * What you learn: a pipeline gives each device some of the layers; a schedule says who works on which micro-batch when.
 * Schedules differ in bubble and memory, not in the loss.
 *
 *     deno run --allow-read examples/07_pipeline.ts
 *
 * prints the grid of each schedule (rows are devices, dots are bubbles) and the loss of a run with it.
 */
import { assertAlmostEquals } from "@std/assert";
import { drawSchedule, gpt, makeSchedule, SCHEDULES, train, type TrainOptions, WorkerPool } from "../mod.ts";

const recipe: TrainOptions = {
  model: gpt({ layers: 4, heads: 2, embed: 32, context: 16 }),
  ...{ batch: 8, steps: 3, warmup: 1, evalEvery: 0, dp: 1 },
};

async function lastLoss(options: TrainOptions): Promise<number> {
  let loss = NaN;
  for await (const step of train({ ...recipe, ...options })) loss = step.loss;
  return loss;
}

if (import.meta.main) {
  using pool = new WorkerPool(); // The runs use the same workers.
  const expected = await lastLoss({ pool });
  console.log(`one device: loss ${expected.toFixed(6)}\n`);
  for (const schedule of SCHEDULES) {
    const v = schedule === "interleaved" ? 2 : undefined;
    console.log(drawSchedule(makeSchedule(schedule, { p: 2, m: 4, v })));
    const loss = await lastLoss({ pp: 2, microBatch: 2, schedule, pool });
    console.log(`loss ${loss.toFixed(6)}\n`);
    assertAlmostEquals(loss, expected, 5e-6);
  }
}
