/**
 * bf16 against float32, with every strategy.
 *
 * Parameters, activations and gradients are rounded to 8 bits, masters and sums are float32: so losses follow those of
 * float32 to a per cent, and those of one device in bf16 closer than that. Layouts round at other places, as sums that
 * cross devices or micro-batches are stored in between.
 */
import { assert, assertEquals } from "@std/assert";
import { gpt } from "../../models/mod.ts";
import type { TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../train/support/runs.ts";

const DENSE = gpt({ layers: 2, heads: 2, embed: 32, context: 16 });
const MIXTURE = gpt({ layers: 2, heads: 2, embed: 32, context: 16, experts: 4, topKExperts: 2 });
const RECIPE = { batch: 8, steps: 30, warmup: 5, lr: 3e-3, microBatch: 2, dp: 1, precision: "bf16" } as const;

const LAYOUTS: Record<string, TrainOptions> = {
  "one device": {},
  "dp 3, zero 1": { dp: 3, zero: 1, batch: 9 },
  "dp 2, zero 2": { dp: 2, zero: 2 },
  "dp 2, zero 3, recompute": { dp: 2, zero: 3, recompute: "full" },
  "tp 2, sp": { tp: 2, sp: true },
  "pp 2, zero-bubble": { pp: 2, schedule: "zero-bubble" },
  "cp 2": { cp: 2 },
  "cp 4, tp 2": { cp: 4, tp: 2 },
  "ep 2, dp 2": { ep: 2, dp: 2, model: MIXTURE },
  "dp 2, tp 2, pp 2": { dp: 2, tp: 2, pp: 2 },
};

for (const [name, more] of Object.entries(LAYOUTS)) {
  Deno.test(`bf16 on ${name} has the losses of float32 to one per cent`, () =>
    withTempDir(async (folder) => {
      const options = { ...await tinyGpt(folder), model: DENSE, ...RECIPE, ...more };
      const half = await runToEnd(options);
      const layout = {
        dp: 1,
        tp: 1,
        pp: 1,
        cp: 1,
        ep: 1,
        sp: false,
        zero: 0,
        recompute: "none" as const,
        schedule: "1f1b",
      };
      const wide = await runToEnd({ ...options, ...layout, precision: "f32" });
      half.losses.forEach((loss, i) => {
        const error = Math.abs(loss / wide.losses[i] - 1);
        assert(error < 0.01, `loss of step ${i} is ${loss}, not ${wide.losses[i]}`);
      });
      assert(half.losses.some((loss, i) => loss !== wide.losses[i]), "both ran in one precision");
    }));
}

Deno.test("a checkpoint holds the masters: a bf16 run goes on with the bits of one that was not interrupted", () =>
  withTempDir(async (folder) => {
    const options = {
      ...await tinyGpt(folder),
      model: DENSE,
      ...RECIPE,
      steps: 8,
      out: `${folder}/run`,
      saveEvery: 4,
      overwrite: true,
    };
    for (const zero of [0, 3]) {
      const whole = await runToEnd({ ...options, dp: 2, zero });
      const rest = await runToEnd({ ...options, dp: 2, zero, resume: `${folder}/run/step-4` });
      assertEquals(rest.losses, whole.losses.slice(4));
    }
  }));
