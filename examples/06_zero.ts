/**
 * What you learn: ZeRO shares out what replicas would all hold: optimizer state (1), gradients (2), parameters (3). The
 * numbers stay those of one device; memory falls, traffic grows from 2 to 3 times the parameters in stage 3.
 *
 *     deno run --allow-read examples/06_zero.ts
 *
 * prints for each stage the loss, the peak of a device's memory and what it moved in a step.
 */
import { assertAlmostEquals } from "@std/assert";
import { formatBytes } from "../kernels/mod.ts";
import { gpt, type TrainOptions, WorkerPool } from "../mod.ts";
import { lastStep } from "./support/last_step.ts";

const recipe: TrainOptions = {
  model: gpt({ layers: 4, heads: 4, embed: 128, context: 32 }),
  ...{ batch: 4, steps: 3, warmup: 1, evalEvery: 0, dp: 4 },
};

/** The last step of a run. */
const run = (options: TrainOptions) => lastStep({ ...recipe, ...options });

if (import.meta.main) {
  using pool = new WorkerPool(); // The runs use the same workers.
  const { loss } = await run({ dp: 1, pool });
  console.log(`one device: loss ${loss.toFixed(6)}`);
  for (const zero of [0, 1, 2, 3]) {
    const step = await run({ zero, pool }), [device] = step.devices;
    const cost = `${formatBytes(device.peakBytes)} at most, ${formatBytes(device.bytesMoved)} moved`;
    console.log(`4 devices, zero ${zero}: loss ${step.loss.toFixed(6)}, ${cost}`);
    assertAlmostEquals(step.loss, loss, 5e-6);
  }
}
