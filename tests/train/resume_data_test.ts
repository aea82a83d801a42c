/** What a run goes on with: the data it had, from the sample that comes next. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { gpt } from "../../models/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyClassifier, tinyGpt } from "./support/runs.ts";

async function trained(folder: string): Promise<TrainOptions> {
  const options = { ...await tinyGpt(folder), dp: 1, out: `${folder}/out` };
  await runToEnd({ ...options, steps: 4 });
  return { ...options, resume: `${folder}/out/step-4`, steps: 6, out: undefined };
}

/** A resume with another --data went on without a word; one without --data went on with Moby Dick. */
Deno.test("a run goes on with its own data, and with others only if that is said", () =>
  withTempDir(async (folder) => {
    const { data, ...rest } = await trained(folder), other = `${folder}/other.txt`;
    const expected = await runToEnd({ ...rest, data });
    assertEquals((await runToEnd(rest)).losses, expected.losses, "the path stands in the checkpoint");
    await Deno.writeTextFile(other, "another text ".repeat(200));
    const error = await assertRejects(() => prepareTraining({ ...rest, data: other }), UsageError);
    assert(/not the data of the run \(1,829 tokens then, 2,600 now\)/.test(error.message), error.message);
    const changed = (await Deno.readTextFile(data as string)).replace("whale", "shark");
    await Deno.writeTextFile(other, changed);
    await assertRejects(
      () => prepareTraining({ ...rest, data: other }),
      UsageError,
      "as many tokens, 1,829, but others",
    );
    await prepareTraining({ ...rest, data: other, dataChanged: true });
    await Deno.writeTextFile(data as string, changed);
    await assertRejects(() => prepareTraining(rest), UsageError, "not the data of the run");
  }));

Deno.test("samples of a program are known again, too", () =>
  withTempDir(async (folder) => {
    const options = { ...tinyClassifier({ inputs: 6, hidden: 5, classes: 3 }), dp: 1, out: folder };
    await runToEnd({ ...options, steps: 2 });
    const more = { ...options, resume: folder, steps: 4, out: `${folder}/more` };
    await runToEnd(more);
    const samples = options.data as { inputs: Float32Array };
    const inputs = samples.inputs.map((x, i) => i === 7 ? x + 1 : x);
    const changed = { ...more, data: { ...samples, inputs } } as TrainOptions;
    await assertRejects(
      () => prepareTraining(changed),
      UsageError,
      "with these data: they are not the data of the run",
    );
    const fewer = { ...more, data: { ...samples, numTrain: 30 } } as TrainOptions;
    await assertRejects(() => prepareTraining(fewer), UsageError, "they are not the data of the run");
  }));

/** Steps were multiplied by the new batch: samples 16 to 31 were left out, or 8 to 15 seen twice. */
Deno.test("a run that goes on with another batch sees every sample once", () =>
  withTempDir(async (folder) => {
    const data = `${folder}/t.bin`, model = gpt({ layers: 1, heads: 1, embed: 8, context: 4 });
    // Sample j holds token j only: what a step has seen shows in its gradient of the table.
    const tokens = Uint16Array.from({ length: 4 * 200 + 1 }, (_, i) => Math.floor(i / 4));
    await Deno.writeFile(data, new Uint8Array(tokens.buffer));
    const common = {
      data,
      model,
      vocab: 256,
      dp: 1,
      evalEvery: 0,
      order: "sequential" as const,
      warmup: 0,
      out: `${folder}/out`,
    };
    await runToEnd({ ...common, batch: 4, steps: 4 });
    const states = [];
    for (const batch of [2, 4, 8]) {
      const out = `${folder}/batch_${batch}`,
        given = { ...common, batch, resume: `${folder}/out/step-4`, steps: 6, out };
      const { job } = await prepareTraining(given);
      assertEquals(job.start.samples, 16);
      await runToEnd(given);
      states.push(JSON.parse(await Deno.readTextFile(`${out}/step-6/trainer_state.json`)).samples);
    }
    assertEquals(states, [20, 24, 32]);
  }));

Deno.test("data of a wrong type are refused with what is allowed", async () => {
  const inputs = new Float32Array(12), targets = new Int32Array(4);
  for (const data of [5, {}, [1, 2], { inputs, targets }, { inputs: [1], inputShape: [1], targets }]) {
    await assertRejects(
      () => prepareTraining({ data } as unknown as TrainOptions),
      UsageError,
      "must be the path of a file, or",
    );
  }
  const broken = { inputs: inputs.with(7, NaN), inputShape: [3], targets };
  await assertRejects(() => prepareTraining({ data: broken, batch: 2 }), UsageError, "inputs[7] is NaN");
});
