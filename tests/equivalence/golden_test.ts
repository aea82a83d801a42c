/**
 * The golden run: a GPT-2 that an independent implementation trained in float64. Every layout must reproduce it within
 * what float32 arithmetic allows: losses near 5 carry an error of about 1e-6, gradients relative ones of about 1e-6 of
 * the largest element of their tensor.
 */
import { assert, assertEquals } from "@std/assert";
import { openMoments } from "../../checkpoint/mod.ts";
import { type LoadedTensor, readSafetensors, readTensors } from "../../files/mod.ts";
import { prepareTraining, startTraining, type StepRecord, type TrainOptions } from "../../train/mod.ts";
import { GOLDEN_OPTIONS } from "../support/golden_run.ts";
import { pool } from "../support/pool.ts";
import { withTempDir } from "../support/temp_dir.ts";

const GOLDEN = new URL("../golden/gpt2-tiny/", import.meta.url).pathname;
const LOSS_BOUND = 5e-6, NORM_BOUND = 1e-5, GRADIENT_BOUND = 1e-5, WEIGHT_BOUND = 1e-4;

interface Expected {
  recipe: Record<"batch" | "steps" | "warmup" | "lr" | "min_lr" | "weight_decay" | "grad_clip", number>;
  losses: number[];
  grad_norms: number[];
  lrs: number[];
}

const expected: Expected = JSON.parse(await Deno.readTextFile(`${GOLDEN}expected.json`));

/** Options that change how the run is spread over devices, and none of its numbers. */
type Layout = Pick<
  TrainOptions,
  "dp" | "cp" | "tp" | "sp" | "pp" | "zero" | "microBatch" | "schedule" | "partition" | "recompute"
>;

interface GoldenRun {
  steps: StepRecord[];
  /** Step-0 gradients, from the first moment after one step. */
  gradients: Map<string, Float32Array>;
  final: Map<string, LoadedTensor>;
}

async function run(options: Layout): Promise<GoldenRun> {
  const { steps, warmup, grad_clip: gradClip } = expected.recipe;
  return await withTempDir(async (folder) => {
    const train = async (steps: number) => {
      const out = `${folder}/${steps}`, records: StepRecord[] = [];
      // The gradients of the first step do not depend on its learning rate.
      const rates = { warmup: Math.min(warmup, steps - 1), steps };
      const prepared = await prepareTraining({ ...GOLDEN_OPTIONS, ...rates, out, pool, ...options });
      for await (const step of await startTraining(prepared)) records.push(step);
      return { records, checkpoint: `${out}/step-${steps}` };
    };
    const first = await train(1), all = await train(steps);
    const final = await readSafetensors(`${all.checkpoint}/model.safetensors`);
    const shapes = new Map([...final].map(([name, { shape }]) => [name, shape]));
    const clip = Math.min(1, gradClip / (first.records[0].gradNorm + 1e-6));
    const { m } = await openMoments(first.checkpoint, shapes);
    const gradients = new Map(
      [...readTensors(m)].map(([name, values]) => [name, values.map((m) => m / (0.1 * clip))]),
    );
    return { steps: all.records, gradients, final };
  });
}

/** The gradient of the keys' bias is zero: softmax ignores a shift of all scores of a row. What is there is rounding. */
function withoutKeyBias(name: string, values: Float32Array): Float32Array {
  if (!name.endsWith("attn.c_attn.bias")) return values;
  const third = values.length / 3;
  return values.map((value, i) => i >= third && i < 2 * third ? 0 : value);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0);
}

async function check(options: Layout): Promise<void> {
  const { steps, gradients, final } = await run(options);
  assertEquals(steps.length, expected.losses.length);
  for (const [i, { loss, gradNorm, lr }] of steps.entries()) {
    const lossError = Math.abs(loss - expected.losses[i]),
      normError = Math.abs(gradNorm / expected.grad_norms[i] - 1);
    assert(lossError <= LOSS_BOUND, `loss of step ${i} is off by ${lossError}`);
    assert(normError <= NORM_BOUND, `gradient norm of step ${i} is off by ${normError} (relative)`);
    assert(
      Math.abs(lr - expected.lrs[i]) < 1e-12,
      `learning rate of step ${i} is ${lr}, not ${expected.lrs[i]}`,
    );
  }
  for (const [name, { data }] of await readSafetensors(`${GOLDEN}grads_step0.safetensors`)) {
    const largest = data.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const error = largestDifference(withoutKeyBias(name, gradients.get(name)!), withoutKeyBias(name, data));
    assert(
      error <= GRADIENT_BOUND * largest,
      `gradient of ${name} is off by ${error / largest} of its largest element`,
    );
  }
  for (const [name, { data }] of await readSafetensors(`${GOLDEN}final/model.safetensors`)) {
    const error = largestDifference(withoutKeyBias(name, final.get(name)!.data), withoutKeyBias(name, data));
    assert(error <= WEIGHT_BOUND, `final ${name} is off by ${error}`);
  }
}

const LAYOUTS: Layout[] = [
  { dp: 1 },
  { dp: 2 },
  { dp: 4 },
  { dp: 1, microBatch: 3 },
  { dp: 3, microBatch: 2 },
  { dp: 2, zero: 1 },
  { dp: 2, zero: 2 },
  { dp: 4, zero: 3 },
  { dp: 1, pp: 2, microBatch: 2 },
  { dp: 1, pp: 4, microBatch: 2, schedule: "gpipe" },
  { dp: 2, pp: 2, microBatch: 1, schedule: "zero-bubble", zero: 1 },
  { dp: 1, pp: 2, microBatch: 2, schedule: "interleaved" },
  { dp: 2, pp: 2, microBatch: 1, zero: 3 },
  { dp: 1, pp: 3, microBatch: 2, partition: "parameters" },
  { dp: 1, cp: 2 },
  { dp: 1, cp: 4, zero: 1 },
  { dp: 2, cp: 2, tp: 2, sp: true, zero: 3 },
  { dp: 1, cp: 2, pp: 2, tp: 2, microBatch: 2, recompute: "full" },
  { dp: 1, recompute: "selective" },
  { dp: 2, recompute: "full", zero: 3 },
  { dp: 1, tp: 2 },
  { dp: 1, tp: 4, sp: true },
  { dp: 1, tp: 3 },
  { dp: 2, tp: 2, pp: 2, microBatch: 2 },
  { dp: 2, tp: 2, pp: 2, microBatch: 2, sp: true, zero: 3 },
  { dp: 1, tp: 2, pp: 2, microBatch: 2, sp: true, schedule: "zero-bubble", recompute: "full" },
];

for (const layout of LAYOUTS) {
  const name = Object.entries(layout).map(([key, value]) => `${key} ${value}`).join(", ");
  Deno.test(`train() reproduces the golden run with ${name}`, () => check(layout));
}
