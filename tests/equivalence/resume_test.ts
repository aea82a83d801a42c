/** A checkpoint has no layout: a run that goes on elsewhere has the losses of one that was never interrupted. */
import { assert, assertEquals } from "@std/assert";
import { prepareTraining, startTraining, type TrainOptions } from "../../train/mod.ts";
import { pool } from "../support/pool.ts";
import { withTempDir } from "../support/temp_dir.ts";

const RECIPE = {
  layers: 4,
  heads: 2,
  embed: 32,
  context: 16,
  batch: 8,
  steps: 9,
  warmup: 2,
  evalEvery: 0,
} as const;

async function losses(options: TrainOptions): Promise<Map<number, number>> {
  const result = new Map<number, number>();
  for await (const { step, loss } of await startTraining(await prepareTraining({ pool, ...options }))) {
    result.set(step, loss);
  }
  return result;
}

/** Absolute differences of losses: rounding in fast numerics, none in exact ones. */
const BOUNDS = [["fast", 5e-6], ["exact", 0]] as const;

for (const [numerics, bound] of BOUNDS) {
  Deno.test(`${numerics}: a run saved on dp 4 goes on on tp 2 x pp 2, then on zero 3 with cp 2, with the losses of one device`, async () => {
    await withTempDir(async (out) => {
      const recipe = { ...RECIPE, numerics }, expected = await losses({ ...recipe, dp: 1 });
      const saved = { ...recipe, out, saveEvery: 3, overwrite: true };
      // The first run goes to the end; the others start again from its third, and from the second's sixth step.
      await losses({ ...saved, dp: 4 });
      const second = { dp: 1, tp: 2, pp: 2, microBatch: 2, sp: true }, third = { dp: 2, cp: 2, zero: 3 };
      const middle = await losses({ ...saved, ...second, resume: `${out}/step-3` });
      const last = await losses({ ...saved, ...third, resume: `${out}/step-6` });
      assertEquals([...middle.keys()], [3, 4, 5, 6, 7, 8]);
      assertEquals([...last.keys()], [6, 7, 8]);
      for (const [step, loss] of [...middle, ...last]) {
        const error = Math.abs(loss - expected.get(step)!);
        assert(error <= bound, `loss of step ${step} is ${loss}, not ${expected.get(step)}`);
      }
    });
  });
}
