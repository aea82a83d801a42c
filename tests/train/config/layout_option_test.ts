import { assertEquals, assertThrows } from "@std/assert";
import {
  data,
  pipeline,
  resolveConfig,
  sp,
  tensor,
  train,
  type TrainOptions,
  UsageError,
  zero3,
} from "../../../mod.ts";
import { expandLayout, withLayout } from "../../../train/config/layout_option.ts";
import { runToEnd, tinyGpt } from "../support/runs.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const layout = data(2, pipeline(2, tensor(2, sp)));

Deno.test("expandLayout() gives the options that a layout stands for", () => {
  const axes = { dp: 2, pp: 2, ep: 1, cp: 1, tp: 2 };
  assertEquals(expandLayout({ layout: String(layout), lr: 1 }), { ...axes, sp: true, zero: 0, lr: 1 });
  assertEquals(expandLayout({ layout: "zero3(4)", dp: "4" }), {
    ...{ dp: 4, pp: 1, ep: 1, cp: 1, tp: 1, sp: false, zero: 3 },
  });
  assertEquals(expandLayout({ tp: 2 }), { tp: 2 });
  const { dp, pp, tp, sp: isSplit } = resolveConfig({ layout: String(layout) }, { numCores: 1 });
  assertEquals([dp, pp, tp, isSplit], [2, 2, 2, true]);
});

Deno.test("expandLayout() refuses what is no layout, what is not trained, and options that say otherwise", () => {
  const cases: [Record<string, string | number>, string][] = [
    [{ layout: "data(2" }, 'Cannot read layout "data(2"'],
    [{ layout: "tensor(2, data(2))" }, "Cannot put data(2) inside tensor(2)"],
    [{ layout: "data(2, zero1(2))" }, "zero1 inside data is drawn, and not trained yet; use zero1(4)"],
    [{ layout: "data(2)", tp: 2 }, 'Cannot use both --layout "data(2)" and --tp 2: the layout has tp 1'],
    [{ layout: "data(2)", zero: 1 }, "and --zero 1: the layout has zero 0; give one of them"],
  ];
  for (const [given, message] of cases) assertThrows(() => expandLayout(given), UsageError, message);
});

Deno.test("withLayout() takes a mesh, and refuses axes that do not exist or an option that says otherwise", () => {
  assertEquals(withLayout({ lr: 1 }, { layout, mesh: { dp: 2 } }), { lr: 1, dp: 2, layout: String(layout) });
  const refuse = (mesh: object, message: string) =>
    assertThrows(() => withLayout({ dp: 4 }, { mesh }), UsageError, message);
  refuse({ xp: 2 }, "Cannot use mesh axis xp: axes are dp, pp, ep, cp, tp");
  refuse({ dp: 2 }, "Cannot use both mesh dp 2 and option dp 4");
});

Deno.test("train() takes a layout as a value or as text, with the bits of the single options", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), steps: 2 };
    const { mesh: _, ...rest } = options, single = await runToEnd({ ...rest, dp: 2, zero: 3, tp: 2 });
    const whole = zero3(2, tensor(2));
    for (const layout of [whole, `${whole}`]) {
      assertEquals((await runToEnd({ ...rest, layout })).lossHash, single.lossHash);
    }
  }));

/** Never run: what it holds must not type-check where it says so. */
export function typesOfOptions(): void {
  train({
    layout,
    numerics: "exact",
    precision: "bf16",
    zero: 0,
    dp: 2,
    data: "a.txt",
    deviceMemory: "1GiB",
  });
  // @ts-expect-error: a degree is a number
  train({ dp: "many" });
  // @ts-expect-error: a stage is a number
  train({ zero: true });
  // @ts-expect-error: not one of the choices
  train({ precision: "fp8" });
  // @ts-expect-error: there is no such option
  train({ layer: 3 });
  // @ts-expect-error: a flag is true or false
  train({ sp: "yes" });
  // @ts-expect-error: a layout is a value, or text
  train({ layout: { dp: 2 } });
  // @ts-expect-error: a level holds a layout
  data(2, 3);
}
