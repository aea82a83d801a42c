/**
 * What you learn: a mixture of experts has many feed-forward layers, of which each token uses one or two; devices share
 * the experts out, and tokens travel to them and back. Routing is decided in fixed units of tokens, so every layout makes
 * the same choices and drops the same ones.
 *
 *     deno run --allow-read examples/10_experts.ts
 *
 * prints the loss, the choices that were dropped and what a device moved, for one device and for shared experts.
 */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { formatBytes } from "../kernels/mod.ts";
import { gpt, type TrainOptions, WorkerPool } from "../mod.ts";
import { lastStep } from "./support/last_step.ts";

const recipe: TrainOptions = {
  model: gpt({ layers: 2, heads: 2, embed: 32, context: 32, experts: 4, capacityFactor: 1 }),
  ...{ batch: 8, steps: 4, warmup: 1, evalEvery: 0 },
};

/** The last step of a run. */
const run = (options: TrainOptions) => lastStep({ ...recipe, ...options });

if (import.meta.main) {
  using pool = new WorkerPool(); // The runs use the same workers.
  const one = await run({ dp: 1, pool });
  for (const layout of [{ dp: 1, ep: 1 }, { dp: 1, ep: 2 }, { dp: 2, ep: 2 }]) {
    const { loss, droppedChoices, devices } = await run({ ...layout, pool }),
      moved = formatBytes(devices[0].bytesMoved);
    console.log(
      `${JSON.stringify(layout)}: loss ${loss.toFixed(6)}, ${droppedChoices} dropped, ${moved} moved`,
    );
    assertAlmostEquals(loss, one.loss, 5e-6);
    assertEquals(droppedChoices, one.droppedChoices);
  }
}
