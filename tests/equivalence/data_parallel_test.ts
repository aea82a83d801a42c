/**
 * Data parallelism against one device.
 *
 * Both add the gradients of the same rows, in another order: an element that is a sum of n rows of size up to g is off by
 * about 2^-24 sqrt(n) g per sum it went through (layers above it, each with sums over the width and over the rows). With
 * at most 64 rows and ten such sums that is 64 x 2^-24 of the tensor's largest element.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { within } from "../support/deadline.ts";
import { assertSameGradients, gradientsOf } from "../support/gradients.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { type Run, runToEnd, tinyClassifier, tinyGpt } from "../train/support/runs.ts";

const BOUND = 64 * 2 ** -24;
const CLASSIFIER = { inputs: 6, hidden: 8, classes: 3 };

/** A loss is a mean of rows that are off by some 2^-24 each. */
function assertSameLosses(actual: Run, expected: Run): void {
  assertEquals(actual.losses.length, expected.losses.length);
  actual.losses.forEach((loss, i) => {
    const error = Math.abs(loss - expected.losses[i]);
    assert(error <= 2e-6 * Math.max(1, expected.losses[i]), `loss of step ${i} is off by ${error}`);
  });
}

Deno.test("gradients of a GPT on dp 2, 3 and 4, with micro-batches and uneven shares, are those of one device", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), batch: 7 };
    const expected = await gradientsOf({ ...options, mesh: { dp: 1 } }, `${folder}/1`);
    for (const [dp, microBatch] of [[1, 2], [2, 4], [2, 3], [3, 1], [4, 2]]) {
      const actual = await gradientsOf(
        { ...options, mesh: { dp }, microBatch },
        `${folder}/${dp}-${microBatch}`,
      );
      assertSameGradients(actual, expected, BOUND);
    }
  }));

for (const dp of [2, 3]) {
  Deno.test(`all ${dp} ranks hold the same bits of every parameter after ten steps`, () =>
    withTempDir(async (folder) => {
      const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp }, batch: 7, steps: 10 };
      const { job, mesh } = await prepareTraining(options);
      const world = launch({
        program: import.meta.resolve("../train/support/parameters_program.ts"),
        config: job,
        topology: mesh.topology(),
        deviceMemoryBytes: job.config.deviceMemoryBytes,
      });
      const ranks = await within(world.done) as Int32Array[];
      assert(ranks[0].length >= 256 * 8, "all parameters");
      for (const bits of ranks.slice(1)) assertEquals(bits, ranks[0]);
    }));
}

Deno.test("a model of the user's own trains the same on dp 2 as on one device", async () => {
  const options = tinyClassifier(CLASSIFIER);
  const one = await runToEnd({ ...options, mesh: { dp: 1 } }),
    two = await runToEnd({ ...options, mesh: { dp: 2 } });
  assertSameLosses(two, one);
  assert(one.losses.at(-1)! < one.losses[0], `${one.losses}`);
});

Deno.test("a rank whose targets are all masked adds nothing, and the loss is the mean over the others", async () => {
  // In sequential order the last four of each eight samples are those of rank 1.
  const options: TrainOptions = {
    ...tinyClassifier(CLASSIFIER, { mask: (sample) => sample % 8 >= 4 }),
    order: "sequential",
    steps: 6,
  };
  const one = await runToEnd({ ...options, mesh: { dp: 1 } }),
    two = await runToEnd({ ...options, mesh: { dp: 2 } });
  assertSameLosses(two, one);
  assert(two.losses.every((loss) => loss > 0 && Number.isFinite(loss)), `${two.losses}`);
  const unmasked = await runToEnd({
    ...tinyClassifier(CLASSIFIER),
    order: "sequential",
    steps: 6,
    mesh: { dp: 2 },
  });
  assertNotEquals(two.losses[0], unmasked.losses[0]);
});

Deno.test("a step without any target has loss 0 and gradient 0", async () => {
  const options = tinyClassifier(CLASSIFIER, { mask: () => true });
  const { losses, gradNorms } = await runToEnd({ ...options, steps: 2, mesh: { dp: 2 } });
  assertEquals([losses, gradNorms], [[0, 0], [0, 0]]);
});

Deno.test("a parameter that no batch uses keeps its place, and the run completes as without it", async () => {
  const options = tinyClassifier({ ...CLASSIFIER, unused: true }), without = tinyClassifier(CLASSIFIER);
  const [one, two] = [
    await runToEnd({ ...options, mesh: { dp: 1 } }),
    await runToEnd({ ...options, mesh: { dp: 2 } }),
  ];
  assertSameLosses(two, one);
  assertEquals((await runToEnd({ ...without, mesh: { dp: 2 } })).losses, two.losses);
});
