/** A model of one's own whose heads of queries share heads of keys: exact numerics on layouts of tensor and context. */
import { assertEquals } from "@std/assert";
import type { TrainOptions } from "../../mod.ts";
import { runToEnd } from "../train/support/runs.ts";

const MODULE = new URL("../strategies/programs/grouped_model.ts", import.meta.url).href;
const RECIPE = { steps: 3, lr: 0.01, warmup: 1, batch: 4, evalEvery: 0, deviceMemory: "24MiB" } as const;

async function numbersOf(isSeparate: boolean, layout: Partial<TrainOptions>) {
  const modelConfig = { vocab: 256, heads: 4, kvHeads: 2, headDim: 8, context: 16, isSeparate };
  const options = { model: MODULE, modelConfig, context: 16, numerics: "exact", ...RECIPE, dp: 1, ...layout };
  const { losses, gradNorms, lossHash } = await runToEnd(options as TrainOptions);
  return { losses, gradNorms, lossHash };
}

for (const isSeparate of [false, true]) {
  const what = isSeparate ? "three projections" : "one projection";
  Deno.test(`exact numerics: shared heads of ${what} have the bits of one device on every layout`, async (t) => {
    const wanted = await numbersOf(isSeparate, {});
    for (
      const layout of [{ tp: 2 }, { cp: 2 }, { cp: 4 }, { tp: 2, cp: 2, sp: true }, {
        dp: 4,
        zero: 3,
      }] as const
    ) {
      await t.step(JSON.stringify(layout), async () => {
        assertEquals(await numbersOf(isSeparate, layout), wanted);
      });
    }
  });
}
