import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gpt } from "../../models/mod.ts";
import { checkResume, configJson, loadDirectory, loadRun } from "../../checkpoint/mod.ts";
import { readSafetensors, readTensor, UsageError, writeSafetensors } from "../../files/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyClassifier, tinyGpt } from "../train/support/runs.ts";

/** A checkpoint of a tiny GPT after two steps. */
async function makeCheckpoint(folder: string): Promise<string> {
  const options: TrainOptions = { ...await tinyGpt(folder), mesh: { dp: 1 }, steps: 2, out: `${folder}/out` };
  return (await runToEnd(options)).result.checkpoint!;
}

Deno.test("loadDirectory() and loadRun() read what a run has written", () =>
  withTempDir(async (folder) => {
    const path = await makeCheckpoint(folder), { family, config, weights } = await loadDirectory(path);
    const sizes = family.sizes(config);
    assertEquals([sizes.layers, sizes.heads, sizes.embed, sizes.context, sizes.vocab], [1, 2, 8, 8, 256]);
    assertEquals(weights.get("wte.weight")!.shape, [256, 8]);
    const run = await loadRun(`${folder}/out`);
    assertEquals([run.folder, run.start.step, run.start.losses.length], [path, 2, 2]);
    assertEquals([...run.start.moments!.m.keys()].sort(), [...weights.keys()].sort());
    assert(readTensor(run.start.moments!.v.get("h.0.mlp.c_fc.weight")!).some((value) => value > 0));
  }));

Deno.test("a checkpoint in shards is read and resumed with the bits of one in one file", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), steps: 4, saveEvery: 2, dp: 1, tp: 2 };
    const whole = await runToEnd({ ...options, out: `${folder}/whole` });
    const sharded = await runToEnd({ ...options, out: `${folder}/sharded`, shardSize: 1500 });
    const files = (await Array.fromAsync(Deno.readDir(sharded.result.checkpoint!))).map(({ name }) => name);
    assert(files.includes("model-00002-of-00004.safetensors"), `${files}`);
    assert(!files.includes("model.safetensors"));
    const [a, b] = await Promise.all([whole, sharded].map(({ result }) => loadDirectory(result.checkpoint!)));
    assertEquals(new Set(b.weights.keys()), new Set(a.weights.keys()));
    for (const [name, tensor] of a.weights) {
      assertEquals(readTensor(b.weights.get(name)!), readTensor(tensor), name);
    }
    const resumed = await runToEnd({ ...options, dp: 2, tp: 1, resume: `${folder}/sharded/step-2` });
    assertEquals(resumed.losses.length, 2);
    const { losses } = await runToEnd({ ...options, dp: 2, tp: 1, resume: `${folder}/whole/step-2` });
    assertEquals(resumed.losses, losses);
  }));

Deno.test("a checkpoint whose weights are truncated, missing or of another shape is refused by name", () =>
  withTempDir(async (folder) => {
    const path = await makeCheckpoint(folder), file = `${path}/model.safetensors`;
    const whole = await Deno.readFile(file), tensors = await readSafetensors(file);
    const rewrite = (change: (name: string, shape: readonly number[]) => readonly number[] | undefined) =>
      writeSafetensors(
        file,
        [...tensors].flatMap(([name, { shape, data }]) => {
          const changed = change(name, shape);
          if (changed === undefined) return [];
          return [{ name, shape: changed, data: data.slice(0, changed.reduce((a, b) => a * b, 1)) }];
        }),
      );
    const cases: [() => Promise<unknown>, string][] = [
      [() => Deno.writeFile(file, whole.subarray(0, whole.length - 10)), "model.safetensors"],
      [() => Deno.writeFile(file, whole.subarray(0, 4)), "model.safetensors"],
      [() => rewrite((name, shape) => name === "wpe.weight" ? [4, 8] : shape), "wpe.weight"],
      [() => rewrite((name, shape) => name === "h.0.ln_1.bias" ? undefined : shape), "h.0.ln_1.bias"],
    ];
    for (const [damage, text] of cases) {
      await damage();
      for (const options of [{ init: path }, { resume: path, steps: 9 }]) {
        const data = `${folder}/text.txt`;
        const error = await assertRejects(() => prepareTraining({ data, batch: 4, ...options }), UsageError);
        assertStringIncludes(error.message, text);
        assertEquals(error.message.includes("\n"), false, "one line");
      }
    }
  }));

Deno.test("a model of the user's own resumes with the bits of a run that went through", () =>
  withTempDir(async (folder) => {
    const options = { ...tinyClassifier({ inputs: 6, hidden: 5, classes: 3 }), mesh: { dp: 2 }, out: folder };
    const whole = await runToEnd({ ...options, saveEvery: 4 });
    const resumed = await runToEnd({ ...options, resume: `${folder}/step-4`, out: `${folder}/resumed` });
    assertEquals(resumed.losses, whole.losses.slice(4));
    assertEquals(resumed.lossHash, whole.lossHash);
  }));

/** A parameter that the checkpoint does not know kept its random start, and one of another size was filled in part. */
Deno.test("a model of the user's own that has changed since its checkpoint is refused by name", () =>
  withTempDir(async (folder) => {
    const config = { inputs: 6, hidden: 5, classes: 3 }, options = { mesh: { dp: 1 }, out: folder };
    await runToEnd({ ...tinyClassifier(config), ...options, steps: 4 });
    const resume = { resume: `${folder}/step-4`, out: `${folder}/resumed`, steps: 6 };
    const cases = [
      [{ ...config, unused: true }, "unused"],
      [{ ...config, hidden: 7 }, "first.weight"],
    ] as const;
    for (const [changed, name] of cases) {
      const error = await assertRejects(
        () => runToEnd({ ...tinyClassifier(changed), ...options, ...resume }),
        Error,
      );
      assertStringIncludes(error.message, `Cannot load ${name}`);
    }
  }));

Deno.test("checkResume() refuses a run that is finished", () =>
  withTempDir(async (folder) => {
    const run = await loadRun(await makeCheckpoint(folder)),
      { job } = await prepareTraining(await tinyGpt(folder));
    checkResume(run, { ...job.config, steps: 3 });
    const refused = async () => await Promise.resolve(checkResume(run, { ...job.config, steps: 2 }));
    await assertRejects(refused, UsageError, "it has 2 steps already; use --steps 3 or more");
  }));

Deno.test("configJson() is that of the family, or names the code of a model that is of none", async () => {
  const model = gpt({ layers: 1, heads: 1, embed: 8, context: 8 });
  assertEquals((await configJson(model)).model_type, "gpt2");
  const own = { module: import.meta.resolve("../../examples/04_own_model.ts"), config: { hidden: 3 } };
  assertEquals(await configJson(own), { model_type: "tessera", ...own });
});
