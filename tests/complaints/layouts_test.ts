/** Complaints about pipelines, ZeRO, checkpoints and memory plans; see numbers_test.ts. */
import { assert, assertEquals } from "@std/assert";
import { SCHEDULES } from "../../strategies/mod.ts";
import type { TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { measureRun } from "../train/support/measured_run.ts";
import { runToEnd, tinyGpt } from "../train/support/runs.ts";
import { nameOf } from "../support/golden_suite.ts";
import { assertSameLoss, compare, smallGpt } from "./support.ts";

// 10: huggingface/nanotron#209; 29: pytorch/torchtitan#771
Deno.test('"a pipeline hangs or is wrong with accumulation": every schedule, with and without, is as one device', () =>
  withTempDir(async (folder) => {
    const layouts = SCHEDULES.flatMap((schedule) =>
      // Interleaved needs a multiple of pp micro-batches.
      [1, 8].filter((microBatch) => schedule !== "interleaved" || microBatch < 8)
        .map((microBatch) => ({ pp: 2, schedule, microBatch }))
    );
    await compare({ ...await smallGpt(folder), steps: 2 }, layouts);
  }));

// 51: deepspeedai/DeepSpeed#568, #823, #1629, #3589; deepspeedai/Megatron-DeepSpeed#474
Deno.test('"ZeRO is refused with pipelines": every stage trains with every schedule', () =>
  withTempDir(async (folder) => {
    const cells = [1, 2, 3].flatMap((zero) =>
      SCHEDULES.map((schedule) => ({ dp: 2, pp: 2, zero, schedule }))
    );
    await compare({ ...await smallGpt(folder), steps: 2 }, cells);
  }));

// 46: deepspeedai/DeepSpeed#2898; 47: #3810, #2921, #5405, #7628; 48: NVIDIA/Megatron-LM#1517; 49:
// radixark/Megatron-LM#66;
// 50: huggingface/nanotron#106
Deno.test('"resume on another layout loses the optimizer": dp 4, then tp 2 x pp 2 or zero 3, has the bits of one run', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await smallGpt(folder), steps: 5 }, out = `${folder}/out`;
    const expected = await runToEnd(options);
    await runToEnd({ ...options, dp: 4, out, saveEvery: 2 });
    for (const layout of [{ tp: 2, pp: 2 }, { dp: 2, zero: 3 }]) {
      const rest = await runToEnd({ ...options, ...layout, resume: `${out}/step-2` });
      const since = (values: readonly number[]) => values.slice(2);
      const tail = { ...expected, losses: since(expected.losses), gradNorms: since(expected.gradNorms) };
      assertSameLoss(rest, tail, { name: nameOf(layout), isExact: true });
    }
  }));

// 52: deepspeedai/DeepSpeed#5102, #4527, #4093, #3734
Deno.test('"the memory estimate is far off": predicted bytes are those that are allocated, on every kind of layout', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await smallGpt(folder), steps: 2, evalEvery: 2, checkReplicas: 1 };
    const layouts: TrainOptions[] = [{ dp: 2, zero: 3 }, { tp: 2, sp: true }, { pp: 2, recompute: "full" }];
    for (const layout of layouts) {
      const { plan, bytes } = await measureRun({ ...options, ...layout });
      assertEquals(plan.ranks.map((rank) => rank.bytes), [...bytes], nameOf(layout));
    }
  }));

// pytorch/torchtitan#2058
Deno.test('"memory leaks": the peak of every device is constant over 1,000 steps', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), dp: 2, batch: 5, microBatch: 2, steps: 1000 };
    const { peaks } = await runToEnd({ ...options, evalEvery: 100, saveEvery: 400, out: `${folder}/out` });
    assert(peaks.length === 1000);
    peaks.forEach((devices, step) => step < 2 || assertEquals(devices, peaks[2], `step ${step}`));
  }));
