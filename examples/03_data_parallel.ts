/**
 * What you learn: two devices that share a batch compute the loss of one device.
 *
 *     deno run --allow-read examples/03_data_parallel.ts
 *
 * prints both losses of each step; they agree to float32 rounding.
 */
import { assertAlmostEquals } from "@std/assert";
import { gpt, train, type TrainOptions } from "../mod.ts";

const recipe: TrainOptions = {
  model: gpt({ layers: 2, heads: 2, embed: 32, context: 32 }),
  batch: 8,
  steps: 5,
  warmup: 2,
};

async function losses(options: TrainOptions): Promise<number[]> {
  const result: number[] = [];
  for await (const step of train({ ...recipe, ...options })) result.push(step.loss);
  return result;
}

if (import.meta.main) {
  const one = await losses({ mesh: { dp: 1 } }), two = await losses({ mesh: { dp: 2 } });
  for (const [step, loss] of one.entries()) {
    console.log(`step ${step}: one device ${loss.toFixed(7)}, two devices ${two[step].toFixed(7)}`);
    assertAlmostEquals(loss, two[step], 5e-6);
  }
}
