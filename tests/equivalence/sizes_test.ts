/**
 * The golden recipe at other sizes, against the float64 model of tests/support: odd heads, uneven vocabularies, short
 * and long contexts, batches that no layout divides evenly. Bounds as in golden_test.ts.
 */
import { assert } from "@std/assert";
import { Gpt, toHuggingFaceConfig } from "../../models/mod.ts";
import { RandomStream } from "../../nn/mod.ts";
import { readSafetensors, writeSafetensors } from "../../files/mod.ts";
import { prepareTraining, startTraining, type TrainOptions } from "../../train/mod.ts";
import { gpt2Shapes } from "../support/gpt2_shapes.ts";
import { type Sizes, type Tensors, trainFloat64 } from "../support/gpt_float64.ts";
import { pool } from "../support/pool.ts";
import { withTempDir } from "../support/temp_dir.ts";

interface Case {
  sizes: Sizes;
  batch: number;
  steps: number;
  layout: Pick<TrainOptions, "dp" | "tp" | "sp" | "pp" | "zero" | "microBatch" | "schedule">;
}

const CASES: Case[] = [
  {
    sizes: { layers: 1, heads: 3, embed: 48, context: 32, vocab: 259 },
    batch: 5,
    steps: 4,
    layout: { dp: 2, microBatch: 2 },
  },
  {
    sizes: { layers: 2, heads: 4, embed: 32, context: 128, vocab: 97 },
    batch: 3,
    steps: 3,
    layout: { dp: 2, microBatch: 1 },
  },
  {
    sizes: { layers: 1, heads: 1, embed: 17, context: 7, vocab: 31 },
    batch: 7,
    steps: 4,
    layout: { dp: 3, microBatch: 2 },
  },
  {
    sizes: { layers: 1, heads: 5, embed: 35, context: 51, vocab: 13 },
    batch: 4,
    steps: 3,
    layout: { dp: 4, microBatch: 1 },
  },
  {
    sizes: { layers: 3, heads: 3, embed: 27, context: 11, vocab: 259 },
    batch: 5,
    steps: 3,
    layout: { dp: 1, tp: 2, pp: 2, microBatch: 2 },
  },
  {
    sizes: { layers: 2, heads: 5, embed: 35, context: 13, vocab: 31 },
    batch: 6,
    steps: 3,
    layout: { dp: 2, tp: 3, sp: true, microBatch: 2 },
  },
  {
    sizes: { layers: 3, heads: 1, embed: 17, context: 9, vocab: 19 },
    batch: 6,
    steps: 3,
    layout: { dp: 3, pp: 2, zero: 3, microBatch: 1, schedule: "gpipe" },
  },
];

const RECIPE = { lr: 1e-3, minLr: 1e-4, warmup: 2, weightDecay: 0.1, gradClip: 1 };

/** Weights near those of a real start, but with no zero biases, so that every gradient path counts. */
function makeWeights(sizes: Sizes): Map<string, { shape: readonly number[]; data: Float32Array }> {
  const shapes = gpt2Shapes(sizes);
  return new Map([...shapes].map(([name, shape]) => {
    const stream = new RandomStream(7, name), isGain = /ln_\w+\.weight$/.test(name);
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < data.length; i++) data[i] = (isGain ? 1 : 0) + 0.05 * stream.normal(i);
    return [name, { shape, data }];
  }));
}

async function check({ sizes, batch, steps, layout }: Case): Promise<void> {
  const tokens = new Uint16Array(steps * batch * sizes.context + 1), stream = new RandomStream(3, "tokens");
  for (let i = 0; i < tokens.length; i++) tokens[i] = stream.below(i, sizes.vocab);
  const start = makeWeights(sizes);
  const weights: Tensors = new Map([...start].map(([name, { data }]) => [name, Float64Array.from(data)]));
  const isDecayed = (name: string) => start.get(name)!.shape.length >= 2;
  const expected = trainFloat64(sizes, weights, isDecayed, tokens, { ...RECIPE, steps, batch });
  await withTempDir(async (folder) => {
    const model = [...start].map(([name, { shape, data }]) => ({ name, shape, data }));
    const config = toHuggingFaceConfig(sizes);
    const init = `${folder}/init`;
    await Deno.mkdir(init);
    await Deno.writeTextFile(`${init}/config.json`, JSON.stringify(config));
    await writeSafetensors(`${init}/model.safetensors`, model);
    await Deno.writeFile(`${folder}/tokens.bin`, new Uint8Array(tokens.buffer));
    const training = await startTraining(
      await prepareTraining({
        ...{ ...RECIPE, data: `${folder}/tokens.bin`, init, order: "sequential", out: folder, evalEvery: 0 },
        ...{ steps, batch, pool, ...layout },
      }),
    );
    for await (const { step, loss, gradNorm } of training) {
      const lossError = Math.abs(loss - expected.losses[step]);
      const normError = Math.abs(gradNorm / expected.norms[step] - 1);
      assert(lossError <= 5e-6, `loss of step ${step} is off by ${lossError}`);
      assert(normError <= 1e-5, `gradient norm of step ${step} is off by ${normError}`);
    }
    for (const [name, { data }] of await readSafetensors(`${folder}/step-${steps}/model.safetensors`)) {
      const third = data.length / 3,
        isKeyBias = (i: number) => /c_attn\.bias$/.test(name) && i >= third && i < 2 * third;
      const error = data.reduce(
        (max, v, i) => isKeyBias(i) ? max : Math.max(max, Math.abs(v - weights.get(name)![i])),
        0,
      );
      assert(error <= 1e-4, `final ${name} is off by ${error}`);
    }
  });
}

for (const test of CASES) {
  const { layers, heads, embed, context, vocab } = test.sizes;
  const name = `${layers} x ${embed}, ${heads} heads, context ${context}, vocabulary ${vocab}`;
  Deno.test(`${Gpt.name} of ${name} with ${JSON.stringify(test.layout)} agrees with float64`, () =>
    check(test));
}
