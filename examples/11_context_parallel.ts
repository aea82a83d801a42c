/**
 * What you learn: context parallelism shares out the tokens of every sequence; keys and values go round a ring while each
 * device attends to those that it has. Chunks are paired so that causal attention is as much work on every device.
 *
 *     deno run --allow-read examples/11_context_parallel.ts
 *
 * prints which tokens each device holds, the losses, and the memory of a device, which falls with the tokens.
 */
import { assertAlmostEquals } from "@std/assert";
import { formatBytes } from "../kernels/mod.ts";
import { contextPositions, gpt, type TrainOptions, WorkerPool } from "../mod.ts";
import { lastStep } from "./support/last_step.ts";

const recipe: TrainOptions = {
  model: gpt({ layers: 2, heads: 2, embed: 64, context: 256 }),
  ...{ batch: 4, steps: 3, warmup: 1, evalEvery: 0, dp: 1 },
};

/** The last step of a run. */
const run = (options: TrainOptions) => lastStep({ ...recipe, ...options });

if (import.meta.main) {
  using pool = new WorkerPool(); // The runs use the same workers.
  for (const rank of [0, 1]) {
    console.log(`16 tokens on cp 2, device ${rank}: ${contextPositions(16, 2, rank)}`);
  }
  const one = await run({ pool });
  for (const cp of [1, 2, 4]) {
    const { loss, devices } = await run({ cp, pool });
    const memory = formatBytes(Math.max(...devices.map(({ peakBytes }) => peakBytes)));
    console.log(`cp ${cp}: loss ${loss.toFixed(6)}, at most ${memory} on a device`);
    assertAlmostEquals(loss, one.loss, 5e-6);
  }
}
