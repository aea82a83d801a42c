/**
 * What you learn: tensor parallelism splits every weight matrix; two devices compute each layer together and exchange
 * activations. With sequence parallelism they also share out the rows between the split layers.
 *
 *     deno run --allow-read examples/08_tensor_parallel.ts
 *
 * prints who holds what of one block, the losses, and what a device moved in a step.
 */
import { assertAlmostEquals } from "@std/assert";
import { formatBytes } from "../kernels/mod.ts";
import { gpt, gptPlan, type TrainOptions, WorkerPool } from "../mod.ts";
import { lastStep } from "./support/last_step.ts";

const sizes = { layers: 2, heads: 4, embed: 64, context: 32 };
const recipe: TrainOptions = { model: gpt(sizes), batch: 4, steps: 3, warmup: 1, evalEvery: 0, dp: 1 };

/** The last step of a run. */
const run = (options: TrainOptions) => lastStep({ ...recipe, ...options });

if (import.meta.main) {
  using pool = new WorkerPool(); // The runs use the same workers.
  for (const [layer, split] of Object.entries(gptPlan(sizes))) console.log(`${layer}: ${split.kind}`);
  const { loss } = await run({ pool });
  console.log(`one device: loss ${loss.toFixed(6)}`);
  for (const options of [{ tp: 2 }, { tp: 2, sp: true }, { tp: 4 }]) {
    const step = await run({ ...options, pool }), moved = formatBytes(step.devices[0].bytesMoved);
    console.log(`${JSON.stringify(options)}: loss ${step.loss.toFixed(6)}, ${moved} moved`);
    assertAlmostEquals(step.loss, loss, 5e-6);
  }
}
