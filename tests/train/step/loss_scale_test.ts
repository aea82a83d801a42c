import { assert, assertEquals, assertThrows } from "@std/assert";
import type { TrainOptions } from "../../../train/mod.ts";
import { LossScale } from "../../../train/step/loss_scale.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../support/runs.ts";

Deno.test("LossScale halves after an overflow and doubles after 2000 updates in a row", () => {
  const scale = new LossScale("dynamic"),
    next = (norm: number) => {
      scale.begin();
      return scale.accepts(norm);
    };
  assert(!next(Infinity) && !next(NaN));
  assertEquals(scale.state, { scale: 2 ** 14, goodSteps: 0, skippedSteps: 2 });
  for (let i = 0; i < 1999; i++) assert(next(1));
  assertEquals(scale.state, { scale: 2 ** 14, goodSteps: 1999, skippedSteps: 2 });
  next(1);
  assertEquals(scale.state, { scale: 2 ** 15, goodSteps: 0, skippedSteps: 2 });
  assertEquals([scale.scale, scale.begin()], [2 ** 14, 2 ** 15], "a step keeps its factor to its end");
  assertEquals(scale.updateOf(2002), 2001);
});

Deno.test("LossScale gives up when no factor helps", () => {
  const scale = new LossScale("dynamic", { scale: 2 ** -14, goodSteps: 0, skippedSteps: 30 });
  assertThrows(() => scale.accepts(NaN), RangeError, "smallest loss scale");
  assertEquals([new LossScale("none").accepts(NaN), new LossScale("none").figures], [true, {}]);
});

Deno.test("a dynamic loss scale changes no bit of a run whose gradients neither overflow nor vanish", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), steps: 6, dp: 2 };
    for (const precision of ["f32", "bf16"] as const) {
      const [none, dynamic] = [
        await runToEnd({ ...options, precision }),
        await runToEnd({ ...options, precision, lossScale: "dynamic" }),
      ];
      assertEquals([dynamic.lossHash, dynamic.gradNorms], [none.lossHash, none.gradNorms]);
    }
  }));

Deno.test("steps whose gradients overflow are left out, on every layout, and a resumed run goes on with the scale", () =>
  withTempDir(async (out) => {
    const options: TrainOptions = {
      ...await tinyGpt(out),
      ...{ lossScale: "dynamic", numerics: "exact", lr: 5e-5 },
    };
    await runToEnd({ ...options, dp: 1, steps: 2, out });
    const path = `${out}/step-2/trainer_state.json`, state = JSON.parse(await Deno.readTextFile(path));
    assertEquals(state.lossScale, { scale: 2 ** 16, goodSteps: 2, skippedSteps: 0 });
    // As if the scale had grown without bounds: float32 overflows for some steps.
    state.lossScale.scale = 2 ** 130;
    await Deno.writeTextFile(path, JSON.stringify(state));
    const resume = `${out}/step-2`, runs = [];
    for (const layout of [{ dp: 1 }, { dp: 2, zero: 3 }, { dp: 1, pp: 2 }]) {
      runs.push(await runToEnd({ ...options, ...layout, resume, steps: 12 }));
    }
    const [one, ...others] = runs;
    const skipped = one.gradNorms.filter((norm) => !Number.isFinite(norm)).length;
    assert(skipped >= 2 && skipped < 10, `${skipped} steps left out`);
    for (const other of others) {
      assertEquals([other.lossHash, other.gradNorms], [one.lossHash, one.gradNorms]);
    }
  }));
