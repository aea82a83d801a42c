import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import gpt2 from "../../models/gpt2/mod.ts";
import {
  exportOnnx,
  familyOf,
  familyOfConfig,
  generate,
  loadDirectory,
  modelOf,
  prepareTraining,
  registerFamily,
  type TrainOptions,
  UsageError,
} from "../../mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../train/support/runs.ts";
import toy, { type ToyConfig } from "./toy_family/mod.ts";

const CONFIG: ToyConfig = { depth: 2, heads: 2, width: 8, context: 8, vocab: 256, flavour: "sour" };

async function toyRun(folder: string): Promise<TrainOptions> {
  return { ...await tinyGpt(folder), model: modelOf(toy, CONFIG), mesh: { dp: 1 }, steps: 4 };
}

Deno.test("familyOfConfig() finds a family by its model_type, GPT-2 without one, and names those it knows", () => {
  assertEquals(familyOfConfig({}, "c"), gpt2);
  assertEquals(familyOfConfig({ model_type: "gpt2" }, "c"), gpt2);
  const refused: [unknown, string][] = [
    [
      { model_type: "mamba" },
      'Cannot use c: model_type is "mamba", supported are "gpt2", "tessera_gpt2_moe"',
    ],
    [[], "Cannot use c: it is not a JSON object"],
    [null, "Cannot use c: it is not a JSON object"],
  ];
  for (const [json, message] of refused) assertThrows(() => familyOfConfig(json, "c"), UsageError, message);
});

Deno.test("registerFamily() takes a family again, and refuses another of its model_type", () => {
  registerFamily(toy);
  registerFamily(toy);
  const other = { ...toy, module: "file:///other.ts" };
  assertThrows(() => registerFamily(other), TypeError, "has the model_type toy");
});

Deno.test("a family of another's trains on tp 2 x pp 2 with the loss of one device, and its plan is that of the run", () =>
  withTempDir(async (folder) => {
    const options = await toyRun(folder), one = await runToEnd(options);
    const four = await runToEnd({ ...options, tp: 2, pp: 2, microBatch: 1 });
    const worst = Math.max(...one.losses.map((loss, i) => Math.abs(loss - four.losses[i])));
    assertEquals([one.losses.length, worst < 5e-6], [4, true], `${worst}`);
    const exact = { ...options, numerics: "exact" as const };
    const { lossHash } = await runToEnd(exact);
    assertEquals((await runToEnd({ ...exact, tp: 2, pp: 2, microBatch: 1 })).lossHash, lossHash);
    const { plan } = await prepareTraining({ ...options, tp: 2, pp: 2, microBatch: 1 });
    assertEquals(plan.stages.map(({ layers }) => layers), [["embedding", "blocks.0"], [
      "blocks.1",
      "scores",
    ]]);
  }));

Deno.test("a family of another's is saved, resumed on another layout, generated from and exported, by its model_type", () =>
  withTempDir(async (folder) => {
    registerFamily(toy);
    const options = await toyRun(folder), out = `${folder}/out`;
    const whole = await runToEnd({ ...options, numerics: "exact", saveEvery: 2, out });
    const { family, config, weights } = await loadDirectory(`${out}/step-4`);
    assertEquals([family, config], [await familyOf(modelOf(toy, CONFIG)), CONFIG]);
    assertEquals(weights.get("blocks.1.ff.c_fc.weight")?.shape, [8, 32]);
    const { model: _, ...rest } = options;
    const resumed = await runToEnd({ ...rest, numerics: "exact", tp: 2, pp: 2, resume: `${out}/step-2` });
    assertEquals(resumed.losses, whole.losses.slice(2));
    const write = (steps: number) => {
      const sample = { prompt: [65, 66], numTokens: 12, temperature: 0 };
      return Array.fromAsync(generate(`${out}/step-${steps}`, sample));
    };
    assertEquals((await write(4)).length, 12);
    assertEquals((await exportOnnx(`${out}/step-4`, `${folder}/toy.onnx`)).sizes, toy.sizes(CONFIG));
    await assertRejects(
      () => prepareTraining({ ...rest, init: `${out}/step-4`, layers: 3 }),
      UsageError,
      "Cannot use --layers 3: the model to load has 2",
    );
    assertNotEquals((await runToEnd({ ...rest, init: `${out}/step-4` })).losses[0], whole.losses[0]);
  }));
