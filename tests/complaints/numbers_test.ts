/**
 * What users of other frameworks complain about: wrong or doubtful numbers. A test is named after a complaint and what
 * holds here; above it stand the public threads in which it was made.
 */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { gpt } from "../../models/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { assertSameGradients, gradientsOf } from "../support/gradients.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyClassifier, tinyGpt } from "../train/support/runs.ts";
import { assertSameLoss, compare, MIXTURE, smallGpt } from "./support.ts";

/** As in tests/equivalence/data_parallel_test.ts: ten sums of at most 64 terms in another order. */
const GRADIENT_BOUND = 64 * 2 ** -24;
const CLASSIFIER = { inputs: 6, hidden: 8, classes: 3 };

// 19: huggingface/transformers#34191, #35203, #35438, #37766; 20: huggingface/blog#2414
Deno.test('"accumulation changes the loss": one loss and gradient for any split, with unequal numbers of targets', () =>
  withTempDir(async (folder) => {
    // A mean over micro-batches would be wrong: they have unequal numbers of targets, one of them none.
    const options: TrainOptions = {
      ...tinyClassifier(CLASSIFIER, { mask: (sample) => sample % 5 === 0 || sample % 16 < 2 }),
      ...{ order: "sequential", batch: 8, steps: 4, dp: 1 },
    };
    const splits = [[1, 1], [1, 3], [2, 3], [3, 2]];
    await compare(options, splits.map(([dp, microBatch]) => ({ dp, microBatch })));
    const expected = await gradientsOf(options, `${folder}/1`);
    const actual = await gradientsOf({ ...options, dp: 3, microBatch: 2 }, `${folder}/3`);
    assertSameGradients(actual, expected, GRADIENT_BOUND);
  }));

// 21: NVIDIA/Megatron-LM#1754
Deno.test('"what does not divide evenly gives another loss": uneven shards are right, or refused by name', () =>
  withTempDir(async (folder) => {
    const sizes = { layers: 3, heads: 5, embed: 35, context: 11, vocab: 259, batch: 7 };
    const options: TrainOptions = { ...await smallGpt(folder), ...sizes, steps: 2, numerics: "fast" };
    await compare(options, [
      { tp: 2 },
      { tp: 3, sp: true },
      { pp: 2, microBatch: 3 },
      { dp: 3, zero: 1 },
    ]);
    for (
      const [layout, message] of [
        [{ tp: 6 }, "tp 6"],
        [{ pp: 6 }, "5 layers over 6 stages"],
        [{ dp: 8, microBatch: 1 }, "every device needs a sequence"],
        [{ cp: 2 }, "Cannot"],
        [{ experts: 3, ep: 2, batch: 8 }, "multiple of ep"],
      ] as const
    ) {
      await assertRejects(() => prepareTraining({ ...options, ...layout }), UsageError, message);
    }
  }));

// 25: NVIDIA/Megatron-LM#1764
Deno.test('"the loss is NaN when all tokens of a rank are masked": it is the mean over the others, and the rank adds nothing', async () => {
  // In sequential order the last four of each eight samples are those of rank 1.
  const options = { ...tinyClassifier(CLASSIFIER, { mask: (sample) => sample % 8 >= 4 }), dp: 1 };
  const { losses } = await compare({ ...options, order: "sequential" }, [{ dp: 2 }, { dp: 2, zero: 3 }]);
  assert(losses.every((loss) => loss > 0 && loss < 2), `${losses}`);
  const nobody = await runToEnd({ ...tinyClassifier(CLASSIFIER, { mask: () => true }), dp: 2, steps: 2 });
  assertEquals([nobody.losses, nobody.gradNorms], [[0, 0], [0, 0]]);
});

// 33: pytorch/pytorch#88621; 34: meta-pytorch/torchtune#2420; 35: NVIDIA-NeMo/RL#3788; 36: pytorch/pytorch#170862
Deno.test('"the gradient norm, and so the clipping, depends on the layout": it has the bits of one device with every strategy', () =>
  withTempDir(async (folder) => {
    const dense: TrainOptions = { ...await smallGpt(folder), gradClip: 0.5 };
    const mixture: TrainOptions = { ...dense, ...MIXTURE };
    const layouts: [TrainOptions, TrainOptions[]][] = [
      [dense, [
        ...[{ tp: 2, sp: true }, { pp: 3 }, { cp: 2, microBatch: 1 }],
        ...[1, 2, 3].map((zero) => ({ dp: 2, zero })),
      ]],
      [mixture, [{ ep: 2 }]],
    ];
    for (const [options, others] of layouts) {
      const { gradNorms } = await compare(options, others);
      assert(gradNorms.every((norm) => norm > 0.5), `nothing to clip: ${gradNorms}`);
    }
  }));

// 37: uw-syfi/piper#13
Deno.test('"tied embeddings on two stages drift apart": they stay equal, and the loss has the bits of one device', () =>
  withTempDir(async (folder) => {
    // Both copies are compared to the bit after every step.
    const options: TrainOptions = { ...await smallGpt(folder), checkReplicas: 1 };
    await compare(options, [{ pp: 2 }, { pp: 3 }, { pp: 4 }]);
  }));

// 23: NVIDIA/Megatron-LM#1446
Deno.test('"gradients of norms are wrong under sequence parallelism": they are those of one device', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), batch: 4, dp: 1 };
    const expected = await gradientsOf(options, `${folder}/1`);
    assert([...expected.keys()].filter((name) => name.includes("ln_")).length >= 6);
    const actual = await gradientsOf({ ...options, tp: 2, sp: true }, `${folder}/2`);
    assertSameGradients(actual, expected, GRADIENT_BOUND);
  }));

// 8: deepspeedai/DeepSpeed#4966; 9: NVIDIA-NeMo/Automodel#935
Deno.test('"an expert without tokens, or with too many, hangs the run": it completes, and reports its drops', () =>
  withTempDir(async (folder) => {
    const { layers: _, heads: __, embed: ___, context: ____, ...options } = await smallGpt(folder);
    const sizes = { layers: 2, heads: 2, embed: 16, context: 16, experts: 4 };
    // With ep 2, rank 1 has the experts 1 and 3: no token ever comes to it.
    const idle = { ...options, model: gpt({ ...sizes, deadExperts: [1, 3] }) };
    const { losses } = await compare(idle, [{ ep: 2 }]);
    assertNotEquals(losses, (await runToEnd({ ...idle, model: gpt(sizes) })).losses);
    // Half a slot for each, rounded up to one of a unit of two tokens.
    const full = { ...options, model: gpt({ ...sizes, topKExperts: 2, capacityFactor: 0.5 }) };
    const one = await runToEnd(full), two = await runToEnd({ ...full, ep: 2 }), choices = 2 * 8 * 16 * 2;
    assertSameLoss(two, one, { name: "ep 2", isExact: true });
    assert(one.dropped.every((count) => count > 0 && count < choices), `${one.dropped}`);
    assertEquals(two.dropped, one.dropped);
  }));
