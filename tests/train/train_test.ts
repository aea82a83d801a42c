import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DeviceError } from "../../actors/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { prepareTraining, startTraining, train, type TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "./support/runs.ts";

const readBytes = (path: string) => Deno.readFile(path);
const namesIn = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

/** Everything that a checkpoint says, but for the path that the options name. */
async function checkpointOf(folder: string): Promise<unknown[]> {
  const files = ["config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json"];
  return await Promise.all(files.map((file) => readBytes(`${folder}/${file}`)));
}

for (const dp of [1, 2]) {
  Deno.test(`10 steps, resume, 10 steps give the bits of 20 steps on dp ${dp}`, () =>
    withTempDir(async (folder) => {
      const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp }, saveEvery: 10 };
      const whole = await runToEnd({ ...options, out: `${folder}/whole` });
      const { data } = options;
      const resume = { resume: `${folder}/whole/step-10`, data, mesh: { dp }, out: `${folder}/resumed` };
      const resumed = await runToEnd({ ...resume, evalEvery: 0, deviceMemory: "16MiB" });
      assertEquals(resumed.losses, whole.losses.slice(10));
      assertEquals(resumed.lossHash, whole.lossHash);
      assertEquals(
        await checkpointOf(`${folder}/resumed/step-20`),
        await checkpointOf(`${folder}/whole/step-20`),
      );
    }));
}

Deno.test("the same command twice gives the same loss hash, another seed another one", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 2 } };
    const [first, second] = [await runToEnd(options), await runToEnd(options)];
    assertEquals(second.losses, first.losses);
    assertEquals(second.lossHash, first.lossHash);
    assertEquals(/^[0-9a-f]{64}$/.test(first.lossHash), true);
    const other = await runToEnd({ ...options, seed: 7 });
    assert(other.lossHash !== first.lossHash);
  }));

Deno.test("peak bytes of every device are constant after the second step, evaluating and saving", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 2 }, batch: 5, microBatch: 2 };
    const { peaks, losses } = await runToEnd({
      ...{ ...options, steps: 300, evalEvery: 40, saveEvery: 100, out: `${folder}/out` },
    });
    assertEquals(peaks.length, 300);
    for (const [step, devices] of peaks.entries()) {
      if (step >= 2) assertEquals(devices, peaks[2], `step ${step}`);
    }
    assert(losses.at(-1)! < losses[0] - 1, `the loss goes from ${losses[0]} to ${losses.at(-1)}`);
  }));

Deno.test("leaving the loop early stops the run", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 2 }, steps: 1_000_000 };
    const training = await startTraining(await prepareTraining(options));
    let numSteps = 0;
    for await (const { step } of training) {
      numSteps++;
      if (step === 3) break;
    }
    const { step, isStopped } = await training.result;
    assertEquals([numSteps, isStopped], [4, true]);
    assert(step >= 4 && step < 100_000, `${step} steps`);
  }));

Deno.test("an error in the loop's body stops the run, and is the one that is seen", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 2 }, steps: 1_000_000 };
    await assertRejects(
      async () => {
        for await (const { step } of train(options)) if (step === 2) throw new RangeError("enough");
      },
      RangeError,
      "enough",
    );
  }));

Deno.test("Training stop() saves a checkpoint that the run goes on from, with the bits of a run that was not stopped", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 2 }, steps: 400, lr: 1e-3 };
    const whole = await runToEnd(options);
    const training = await startTraining(await prepareTraining({ ...options, out: `${folder}/out` }));
    const steps = training[Symbol.asyncIterator]();
    await steps.next();
    training.stop();
    while (!(await steps.next()).done);
    const { step, isStopped, checkpoint } = await training.result;
    assertEquals([isStopped, checkpoint], [true, `${folder}/out/step-${step}`]);
    assert(step < 400, `stopped after ${step} steps`);
    assertEquals(await namesIn(`${folder}/out`), [`step-${step}`]);
    const { data } = options, mesh = { dp: 2 };
    const rest = await runToEnd({ data, mesh, resume: `${folder}/out`, evalEvery: 0, deviceMemory: "16MiB" });
    assertEquals(rest.lossHash, whole.lossHash);
  }));

Deno.test("a device that fails ends the iteration with its error after the steps before it", () =>
  withTempDir(async (folder) => {
    const fault = { rank: 1, step: 3, phase: "backward", kind: "throw" } as const;
    const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 2 }, fault, out: `${folder}/out` };
    const seen: number[] = [];
    const error = await assertRejects(async () => {
      for await (const { step } of train(options)) seen.push(step);
    }, DeviceError);
    assertEquals(error.message, "Device 1 failed in step 3 (backward): planned failure");
    // Rank 0 may hear of the failure while it still is in the exchange that ended step 2.
    assert(["0,1", "0,1,2"].includes(seen.join()), `saw the steps ${seen}`);
  }));

Deno.test("a loss that is not finite ends the run and says what to do", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = {
      ...await tinyGpt(folder),
      mesh: { dp: 2 },
      lr: 1e30,
      gradClip: 0,
      warmup: 0,
    };
    const error = await assertRejects(() => runToEnd(options), DeviceError);
    assertStringIncludes(error.message, "training has diverged");
    assertStringIncludes(error.message, "try a smaller --lr or a --grad-clip");
  }));

Deno.test("a run that does not fit the device memory is refused with the table before it starts", () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = {
      ...await tinyGpt(folder),
      mesh: { dp: 2 },
      deviceMemory: "1MiB",
      batch: 200,
    };
    const error = await assertRejects(() => runToEnd(options), UsageError);
    assertStringIncludes(error.message, "Cannot train with --device-memory 1MiB: rank 0 of 2 needs");
    assertStringIncludes(error.message, "(parameters 12.0 KiB, gradients 12.0 KiB");
  }));

Deno.test("train() refuses what it cannot use before anything is started or written", () =>
  withTempDir(async (folder) => {
    const options = await tinyGpt(folder), out = `${folder}/out`;
    const cases: [TrainOptions, string][] = [
      [{ ...options, data: `${folder}/no.txt` }, "Cannot read"],
      [{ ...options, batch: 2, mesh: { dp: 3 } }, "dp"],
      [{ ...options, steps: 0 }, "steps"],
      [{ ...options, init: `${folder}/nothing` }, "nothing: it does not exist"],
      [{ ...options, resume: `${folder}/nothing` }, "Cannot resume from"],
      [
        { ...options, data: { inputs: new Float32Array(5), inputShape: [2], targets: new Int32Array(3) } },
        "so 6 are",
      ],
    ];
    for (const [given, text] of cases) {
      const error = await assertRejects(() => Array.fromAsync(train({ ...given, out })), UsageError);
      assertStringIncludes(error.message, text);
    }
    assertEquals(await namesIn(folder), ["text.txt"]);
  }));

Deno.test("train() takes every axis of a mesh, and refuses what it would drop", async () => {
  await withTempDir(async (folder) => {
    const tiny = await tinyGpt(folder);
    const { mesh } = await prepareTraining({ ...tiny, mesh: { dp: 1, tp: 2 } });
    assertEquals([mesh.size, mesh.degrees.tp], [2, 2]);
    const refused: [TrainOptions, string][] = [
      [{ mesh: { data: 2 } as TrainOptions["mesh"] }, "Cannot use mesh axis data: axes are "],
      [{ mesh: { dp: 2 }, dp: 4 }, "Cannot use both mesh dp 2 and option dp 4: give one"],
      [{ model: "./x.ts" }, "Cannot use model ./x.ts: families are gpt2, "],
    ];
    for (const [options, message] of refused) {
      await assertRejects(() => prepareTraining({ ...tiny, ...options }), UsageError, message);
    }
  });
});
