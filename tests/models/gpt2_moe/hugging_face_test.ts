import {
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  fromMixtureConfig,
  Gpt,
  gpt,
  type GptConfig,
  gptFamily,
  shapesOf,
  toMixtureConfig,
} from "../../../models/mod.ts";
import { Scope } from "../../../nn/mod.ts";
import { loadDirectory, loadRun } from "../../../checkpoint/mod.ts";
import { UsageError } from "../../../files/mod.ts";
import { prepareTraining, type TrainOptions } from "../../../train/mod.ts";
import { phantomBackend } from "../../support/device.ts";
import { gptShapes } from "../../support/gpt2_shapes.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../../train/support/runs.ts";

const DENSE: GptConfig = { layers: 2, heads: 2, embed: 8, context: 8, vocab: 256, layerNormEpsilon: 1e-5 };
const MIXTURE: GptConfig = {
  ...DENSE,
  ...{ experts: 4, topKExperts: 2, capacityFactor: 1.5, auxLossCoefficient: 0.02, deadExperts: [3] },
};

Deno.test("fromConfig() of a family reads what toConfig() writes, for a mixture and for a dense GPT", () => {
  for (const sizes of [DENSE, MIXTURE]) {
    const { checkpoint } = gptFamily(sizes);
    assertEquals(checkpoint.fromConfig(JSON.parse(JSON.stringify(checkpoint.toConfig(sizes))), "c"), sizes);
  }
  const { num_local_experts, num_experts_per_tok, model_type } = toMixtureConfig(MIXTURE);
  assertEquals([num_local_experts, num_experts_per_tok, model_type], [4, 2, "tessera_gpt2_moe"]);
});

Deno.test("fromMixtureConfig() refuses what makes no sense by name", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ num_local_experts: undefined }, "num_local_experts is missing, it must be a number"],
    [{ dead_experts: 3 }, "dead_experts is 3, it must be a list"],
    [{ num_experts_per_tok: 4 }, "Cannot mix 4 experts: a token goes to 4 of them, and 3 live"],
    [{ n_layer: 0 }, "n_layer is 0"],
    [{ activation_function: "relu" }, "activation_function"],
    [{ activation_function: "gelu" }, "activation_function is that of erf"],
    [{ n_inner: 100 }, "n_inner is 100"],
  ];
  for (const [change, message] of cases) {
    const { message: text } = assertThrows(
      () => fromMixtureConfig({ ...toMixtureConfig(MIXTURE), ...change }, "c"),
      UsageError,
    );
    assertStringIncludes(text, `Cannot use c: ${message}`);
  }
});

Deno.test("shapesOf() lists the parameters that the model makes, which are those of GPT-2's files", () => {
  for (const sizes of [DENSE, MIXTURE]) {
    const scope = Scope.root(phantomBackend().heap, 1);
    new Gpt(scope, sizes);
    const made = scope.parameters.map(({ name, shape }) => `${name} ${shape.join()}`).sort();
    const layers = gptFamily(sizes).layers(sizes);
    assertEquals([...shapesOf(layers)].map(([name, shape]) => `${name} ${shape.join()}`).sort(), made);
    assertEquals([...gptShapes(sizes)].map(([name, shape]) => `${name} ${shape.join()}`).sort(), made);
  }
});

Deno.test("a mixture is saved and resumed with what has no option: dead experts, weight of the load loss", () =>
  withTempDir(async (folder) => {
    const { model: _, ...options } = await tinyGpt(folder);
    const mixture: TrainOptions = { ...options, model: gpt(MIXTURE), dp: 1, steps: 4, lr: 0.01 };
    const out = `${folder}/out`, whole = await runToEnd({ ...mixture, out, saveEvery: 2 });
    const { config, weights } = await loadDirectory(`${out}/step-4`);
    assertEquals(config, MIXTURE);
    assertEquals(weights.size, gptShapes(MIXTURE).size);
    assertEquals((await loadRun(`${out}/step-2`)).loaded?.config, MIXTURE);
    const rest = await runToEnd({ ...options, dp: 1, steps: 4, resume: `${out}/step-2` });
    assertEquals(rest.lossHash, whole.lossHash);
    const alive = await runToEnd({ ...mixture, model: gpt({ ...MIXTURE, deadExperts: [] }) });
    assertNotEquals(alive.lossHash, whole.lossHash);
    await assertRejects(
      () => prepareTraining({ ...options, init: `${out}/step-4`, experts: 2 }),
      UsageError,
      "Cannot use --experts 2: the model to load has 4; leave the option out",
    );
  }));
