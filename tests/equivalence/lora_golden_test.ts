/** The golden run of an adapter: a Llama of PyTorch's in float64, of which low-rank adapters of q and v are trained alone. */
import { assertEquals } from "@std/assert";
import { GOLDEN_LAYOUTS, type GoldenLayout, goldenRun, testLayouts } from "../support/golden_suite.ts";
import { runToEnd } from "../train/support/runs.ts";

const base = new URL("../golden/llama-tiny/", import.meta.url).pathname;
const golden = await goldenRun("llama-lora", {
  ...{ init: `${base}init`, data: `${base}tokens.bin`, isAdapter: true },
});

const LAYOUTS = [...GOLDEN_LAYOUTS, { dp: 2, zero: 2, recompute: "full" } as const];
testLayouts("adapter", LAYOUTS, (layout) => golden.check(layout));

Deno.test("the base model of an adapter is not touched", async () => {
  const hash = async () => {
    const bytes = await Deno.readFile(`${base}init/model.safetensors`);
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  };
  const before = await hash();
  await golden.checkSteps({ dp: 1 });
  assertEquals(await hash(), before);
});

Deno.test("adapters have one hash in exact numerics, whatever the layout", async (t) => {
  const exact: GoldenLayout[] = [
    { dp: 2 },
    { dp: 1, tp: 2 },
    { dp: 1, tp: 4 },
    { dp: 1, pp: 2, microBatch: 2, schedule: "1f1b" },
    { dp: 2, zero: 3, recompute: "full" },
    { dp: 2, tp: 2, pp: 2, microBatch: 1 },
    { dp: 1, cp: 2, microBatch: 1 },
  ];
  const hashOf = async (layout: GoldenLayout) =>
    (await runToEnd({ ...golden.options, ...layout, steps: 3, warmup: 1, numerics: "exact" })).lossHash;
  const one = await hashOf({ dp: 1 });
  for (const layout of exact) {
    await t.step(JSON.stringify(layout), async () => assertEquals(await hashOf(layout), one));
  }
});
