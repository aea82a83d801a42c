/** The golden run of a Llama: 4 heads on 2 heads of keys, which tp 4 holds twice each. */
import { type GoldenLayout, goldenRun } from "../support/golden_suite.ts";

const golden = await goldenRun("llama-tiny");

const LAYOUTS: GoldenLayout[] = [
  { dp: 1 },
  { dp: 2 },
  { dp: 1, tp: 2 },
  { dp: 1, tp: 4, sp: true },
  { dp: 1, pp: 2, microBatch: 2 },
  { dp: 1, pp: 2, microBatch: 2, schedule: "zero-bubble" },
  { dp: 1, cp: 2 },
  { dp: 2, zero: 3 },
  { dp: 2, tp: 2, pp: 2, microBatch: 2 },
  { dp: 1, cp: 2, tp: 4, recompute: "full", microBatch: 2 },
];

for (const layout of LAYOUTS) {
  const name = Object.entries(layout).map(([key, value]) => `${key} ${value}`).join(", ");
  Deno.test(`train() reproduces the golden Llama with ${name}`, () => golden.check(layout));
}
