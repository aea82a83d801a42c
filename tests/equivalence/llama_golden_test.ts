/** The golden run of a Llama: 4 heads on 2 heads of keys, which tp 4 holds twice each. */
import { GOLDEN_LAYOUTS, goldenRun, testLayouts } from "../support/golden_suite.ts";

const golden = await goldenRun("llama-tiny");

const LAYOUTS = [...GOLDEN_LAYOUTS, { dp: 1, cp: 2, tp: 4, recompute: "full", microBatch: 2 } as const];
testLayouts("Llama", LAYOUTS, (layout) => golden.check(layout));
