/** Complaints about uneven inputs, unused parameters and the order of data; see numbers_test.ts. */
import { assert, assertEquals } from "@std/assert";
import { countWindows, sampleStart } from "../../data/mod.ts";
import { prepareTraining, startTraining, type TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyClassifier } from "../train/support/runs.ts";
import { assertSameLoss, compare, smallGpt } from "./support.ts";

const CLASSIFIER = { inputs: 6, hidden: 8, classes: 3 };

// 5: deepspeedai/DeepSpeed#5394; 41: pytorch/pytorch#38174; 42: #44425; 43: Lightning-AI/pytorch-lightning#3325
Deno.test('"uneven inputs hang": shares of 2, 2 and 3 sequences train as one device, evaluation and last batch too', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await smallGpt(folder), batch: 7, evalEvery: 2, numerics: "fast" };
    const expected = await runToEnd(options), counts: number[] = [];
    const training = await startTraining(await prepareTraining({ ...options, dp: 3 }));
    for await (const { tokens } of training) counts.push(tokens);
    assertEquals(counts, [7 * 16, 7 * 16, 7 * 16]);
    const uneven = await runToEnd({ ...options, dp: 3 });
    assertSameLoss(uneven, expected, { name: "dp 3" });
    uneven.evals.forEach((loss, i) => assert(Math.abs(loss - expected.evals[i]) < 5e-6, `evaluation ${i}`));
  }));

Deno.test('"samples are seen twice": an epoch that batches do not divide has every sample once', () => {
  const options = { order: "shuffle", seed: 7, context: 8, numTokens: 8 * 10 + 1 } as const;
  const starts = Array.from({ length: 5 * 4 }, (_, i) => sampleStart(i, options));
  const epochs = [starts.slice(0, 10), starts.slice(10)], all = Array.from({ length: 10 }, (_, i) => 8 * i);
  assertEquals(countWindows(options.numTokens, options.context), 10);
  for (const epoch of epochs) assertEquals(epoch.toSorted((a, b) => a - b), all);
});

// 4: deepspeedai/DeepSpeed#4933; 44: pytorch/pytorch#43259, #68862
Deno.test('"an unused parameter hangs the run": it completes as without it', async () => {
  const options: TrainOptions = { ...tinyClassifier({ ...CLASSIFIER, unused: true }), dp: 1, steps: 4 };
  const { losses } = await compare(options, [{ dp: 2 }, { dp: 2, zero: 3 }]);
  assertEquals(losses, (await runToEnd({ ...tinyClassifier(CLASSIFIER), dp: 1, steps: 4 })).losses);
});

// 45: huggingface/accelerate#4195, #2823
Deno.test('"resume forgets the order of the data": steps after it see the samples of a run that was not interrupted', () =>
  withTempDir(async (folder) => {
    // 7 samples a step: the run is interrupted within an epoch, and another begins later.
    const options: TrainOptions = { ...tinyClassifier(CLASSIFIER), dp: 1, batch: 7, steps: 16, lr: 1e-3 };
    const whole = await runToEnd({ ...options, out: folder, saveEvery: 5 });
    const rest = await runToEnd({ ...options, resume: `${folder}/step-5` });
    assertEquals(rest.losses, whole.losses.slice(5));
    assertEquals(rest.lossHash, whole.lossHash);
    const other = await runToEnd({ ...options, resume: `${folder}/step-5`, seed: 8 });
    assert(other.losses[0] !== whole.losses[5], "the order is that of the seed");
  }));
