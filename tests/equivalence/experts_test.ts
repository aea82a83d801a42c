/**
 * A GPT of experts on several layouts against one device. Routing is decided per unit of tokens, so all layouts make the
 * same choices and drop the same ones; the rest differs by the order of sums: the bounds of golden_test.ts.
 */
import { assert, assertEquals } from "@std/assert";
import { prepareTraining, startTraining, type StepRecord, type TrainOptions } from "../../train/mod.ts";
import { pool } from "../support/pool.ts";

type Layout = Pick<
  TrainOptions,
  "dp" | "ep" | "tp" | "sp" | "pp" | "zero" | "microBatch" | "schedule" | "recompute"
>;

const RECIPE = {
  layers: 2,
  heads: 2,
  embed: 32,
  context: 16,
  batch: 8,
  steps: 4,
  warmup: 2,
  evalEvery: 0,
} as const;

async function run(options: TrainOptions): Promise<StepRecord[]> {
  return await Array.fromAsync(await startTraining(await prepareTraining({ ...RECIPE, pool, ...options })));
}

const CASES: { mixture: TrainOptions; layouts: Layout[] }[] = [
  {
    mixture: { experts: 4, capacityFactor: 1 },
    layouts: [
      { dp: 2 },
      { dp: 1, ep: 2 },
      { dp: 1, ep: 4, zero: 2 },
      { dp: 2, ep: 2, zero: 3, recompute: "full" },
      { dp: 1, ep: 2, tp: 2, sp: true },
      { dp: 1, ep: 2, pp: 2, microBatch: 2, schedule: "zero-bubble" },
    ],
  },
  { mixture: { experts: 8, topKExperts: 2 }, layouts: [{ dp: 1, ep: 2, zero: 1 }, { dp: 2, ep: 4 }] },
];

for (const { mixture, layouts } of CASES) {
  Deno.test(`a GPT of ${mixture.experts} experts has one loss and one set of drops on every layout`, async () => {
    const expected = await run({ ...mixture, dp: 1 });
    assert(expected.every(({ loss, droppedChoices }) => Number.isFinite(loss) && droppedChoices! >= 0));
    for (const layout of layouts) {
      const name = JSON.stringify(layout);
      for (const { step, loss, gradNorm, droppedChoices } of await run({ ...mixture, ...layout })) {
        assert(Math.abs(loss - expected[step].loss) <= 5e-6, `${name}: loss of step ${step} is ${loss}`);
        assert(Math.abs(gradNorm / expected[step].gradNorm - 1) <= 1e-5, `${name}: norm of step ${step}`);
        assertEquals(droppedChoices, expected[step].droppedChoices, `${name}: drops of step ${step}`);
      }
    }
  });
}
