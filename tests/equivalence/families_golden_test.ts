/**
 * Golden runs of every family, by an implementation in PyTorch and float64
 * (`tests/golden/families/golden_families.py`): stretched positions, windows, tied heads, one head of keys, odd numbers of
 * heads, biases, norms of heads, experts that share their weights or do not; a GPT-2 with erf, `n_inner` and a head.
 */
import { type GoldenLayout, goldenRun, testLayouts } from "../support/golden_suite.ts";

const RUNS: Record<string, GoldenLayout[]> = {
  gpt2_erf_untied: [{ dp: 1, tp: 2, pp: 2, microBatch: 2, recompute: "full" }, { dp: 2, zero: 3 }],
  llama3_tied: [{ dp: 1, tp: 2, pp: 2, microBatch: 2 }, { dp: 1, tp: 4, sp: true }],
  llama_linear_odd: [{ dp: 1 }, { dp: 1, tp: 2 }],
  llama_yarn: [{ dp: 2, zero: 3 }],
  mistral_window: [{ dp: 1, cp: 2 }, { dp: 1, cp: 4, tp: 2 }],
  qwen2: [{ dp: 2, tp: 2 }, { dp: 1, cp: 2, recompute: "full" }],
  qwen3: [{ dp: 1, tp: 4 }, { dp: 1, pp: 2, microBatch: 2, schedule: "zero-bubble" }],
  mixtral: [{ dp: 1, tp: 2, sp: true }, { dp: 1, ep: 2 }],
  qwen3_moe: [{ dp: 1, tp: 2, sp: true }, { dp: 2, zero: 2 }],
};

for (const [run, layouts] of Object.entries(RUNS)) {
  testLayouts(run, layouts, async (layout) => {
    await (await goldenRun(`families/${run}`)).checkSteps(layout);
  });
}
