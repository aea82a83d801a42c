/**
 * What you learn: strategies nest. Eight devices: two replicas of a pipeline of two stages, each stage on two devices
 * that share every layer. The layout is a value that prints as a picture, and the loss is that of one device.
 *
 *     deno run --allow-read examples/09_three_d.ts
 */
import { assertAlmostEquals } from "@std/assert";
import { data, drawMesh, gpt, pipeline, tensor, train, type TrainOptions, WorkerPool } from "../mod.ts";

const recipe: TrainOptions = {
  model: gpt({ layers: 4, heads: 4, embed: 32, context: 16 }),
  ...{ batch: 8, steps: 3, warmup: 1, evalEvery: 0 },
};

async function losses(options: TrainOptions): Promise<number[]> {
  const result: number[] = [];
  for await (const step of train({ ...recipe, ...options })) result.push(step.loss);
  return result;
}

if (import.meta.main) {
  using pool = new WorkerPool(); // The runs use the same workers.
  const layout = data(2, pipeline(2, tensor(2)));
  console.log(`${layout}\n\n${drawMesh(layout.mesh())}\n`);
  const { dp, pp, tp } = layout.mesh().degrees;
  const one = await losses({ dp: 1, pool }), eight = await losses({ dp, pp, tp, microBatch: 2, pool });
  for (const [step, loss] of one.entries()) {
    console.log(`step ${step}: one device ${loss.toFixed(7)}, eight devices ${eight[step].toFixed(7)}`);
    assertAlmostEquals(loss, eight[step], 5e-6);
  }
}
