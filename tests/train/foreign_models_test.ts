/** Models as other tools leave them: all that mean the same write the same, and what means something else is refused. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { loadRun } from "../../checkpoint/mod.ts";
import { exportOnnx } from "../../export/mod.ts";
import { readSafetensors, readTensor, TensorWriter, UsageError, writeSafetensors } from "../../files/mod.ts";
import { generate } from "../../serve/mod.ts";
import { prepareTraining } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { BASE, CONTINUATION, type Variant, writeVariant } from "./support/model_cases.ts";
import { runToEnd, tinyGpt } from "./support/runs.ts";

const GREEDY = { prompt: [72, 101, 108, 108, 111], numTokens: 11, temperature: 0 };
const write = (folder: string) => Array.fromAsync(generate(folder, GREEDY));
const zeros = (name: string, shape: number[]) => ({
  name,
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b)),
});

/** What `--init`, `generate` and `export` say to a directory. */
async function refusals(folder: string, out: string): Promise<string[]> {
  const data = `${out}/text.txt`;
  await Deno.writeTextFile(data, "the whale ".repeat(99));
  const uses = [
    () => prepareTraining({ init: folder, data, batch: 2, mesh: { dp: 1 } }),
    () => write(folder),
    () => exportOnnx(folder, `${out}/model.onnx`),
  ];
  return await Promise.all(uses.map(async (use) => (await assertRejects(use, UsageError)).message));
}

const SAME: Record<string, Variant> = {
  "a head that is the table": {
    tensors: (x) => x.name === "wte.weight" ? [x, { ...x, name: "lm_head.weight" }] : [x],
  },
  "the table as lm_head.weight only": {
    tensors: (x) => [x.name === "wte.weight" ? { ...x, name: "lm_head.weight" } : x],
  },
  "names of DistributedDataParallel": { tensors: (x) => [{ ...x, name: `module.transformer.${x.name}` }] },
  "names of torch.compile": { tensors: (x) => [{ ...x, name: `_orig_mod.${x.name}` }] },
  "masks": { tensors: (x) => [x, ...(x.name === "wpe.weight" ? [zeros("h.0.attn.masked_bias", [1])] : [])] },
  "null for what is not set": { config: { tie_word_embeddings: null, quantization_config: null } },
  "the same function by another name": { config: { activation_function: "gelu_fast" } },
};

for (const [name, variant] of Object.entries(SAME)) {
  Deno.test(`a model with ${name} writes as the plain one does`, () =>
    withTempDir(async (root) => {
      assertEquals(await write(await writeVariant(`${root}/m`, variant)), CONTINUATION);
    }));
}

Deno.test("a model in parts writes as the plain one does", () =>
  withTempDir(async (root) => {
    const folder = await writeVariant(root, {}), map: Record<string, string> = {};
    const all = [...await readSafetensors(`${folder}/model.safetensors`)].map(([name, x]) => ({
      name,
      ...x,
    }));
    await Deno.remove(`${folder}/model.safetensors`);
    for (const [i, part] of ["a.safetensors", "b.safetensors"].entries()) {
      const some = all.filter((_, j) => j % 2 === i);
      for (const { name } of some) map[name] = part;
      await writeSafetensors(`${folder}/${part}`, some);
    }
    await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
    assertEquals(await write(folder), CONTINUATION);
  }));

const OTHER: [string, Variant, string][] = [
  ["a head of its own", {
    tensors: (x) => x.name === "wte.weight" ? [x, { ...zeros("lm_head.weight", [256, 16]) }] : [x],
  }, "lm_head.weight differs from wte.weight"],
  ["quantized weights", { config: { quantization_config: { bits: 8 } } }, "quantization_config is {"],
  ["a head that is not there", { config: { tie_word_embeddings: false } }, "lm_head.weight"],
  ["another activation", { config: { activation_function: "relu" } }, 'activation_function is "relu"'],
  ["a NaN", {
    tensors: (
      x,
    ) => [x.name === "h.1.ln_2.bias" ? { ...x, data: x.data.map((v, i) => i === 3 ? NaN : v) } : x],
  }, "element 3 of tensor h.1.ln_2.bias is NaN"],
  ["an infinity", {
    tensors: (x) => [x.name === "ln_f.bias" ? { ...x, data: x.data.fill(-Infinity) } : x],
  }, "element 0 of tensor ln_f.bias is -Infinity"],
];

for (const [name, variant, message] of OTHER) {
  Deno.test(`a model with ${name} is refused by --init, generate and export`, () =>
    withTempDir(async (root) => {
      for (const line of await refusals(await writeVariant(`${root}/m`, variant), root)) {
        assertStringIncludes(line, message);
        assertEquals(line.includes("\n"), false);
      }
    }));
}

Deno.test("a checkpoint with a moment that is not finite, or a file that is missing, is refused by name", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), mesh: { dp: 1 }, steps: 2, out: `${folder}/out` };
    const path = (await runToEnd(options)).result.checkpoint!;
    const { moments } = (await loadRun(path)).start, tensor = moments!.v.get("wte.weight")!;
    using writer = new TensorWriter();
    writer.write(tensor, 7, Float32Array.of(NaN));
    await assertRejects(() => loadRun(path), UsageError, "element 7 of tensor wte.weight is NaN");
    writer.write(tensor, 7, Float32Array.of(0));
    for (const name of ["optimizer.safetensors", "config.json", "model.safetensors", "trainer_state.json"]) {
      await Deno.rename(`${path}/${name}`, `${path}/away`);
      await assertRejects(() => loadRun(path), UsageError, name);
      await Deno.rename(`${path}/away`, `${path}/${name}`);
    }
    assertEquals(readTensor((await loadRun(`${folder}/out`)).start.moments!.v.get("wte.weight")!)[7], 0);
  }));

/** All 5 GB were read, a block at a time, before it was refused. */
Deno.test("generate() refuses a model that no device can hold before its weights are looked at", () =>
  withTempDir(async (root) => {
    const config = { n_layer: 48, n_embd: 1600, n_head: 25, n_positions: 1024, vocab_size: 50257 };
    const folder = await writeVariant(root, { config });
    const error = await assertRejects(
      () => generate(folder, { prompt: [1] }).next(),
      UsageError,
      "a device needs 6.",
    );
    assertStringIncludes(error.message, "and has at most 4.0 GiB; these fit: --weights bf16 (");
  }));

Deno.test("exportOnnx() refuses a file in a folder that does not exist before the weights are looked at", () =>
  withTempDir(async (root) => {
    await assertRejects(
      () => exportOnnx(BASE, `${root}/none/model.onnx`),
      UsageError,
      "its folder does not exist; choose another --onnx",
    );
    const folder = await writeVariant(`${root}/m`, {});
    await exportOnnx(folder, `${root}/model.onnx`, { externalAbove: 1 });
    assertEquals([...Deno.readDirSync(root)].map(({ name }) => name).sort(), [
      "m",
      "model.onnx",
      "model.onnx.data",
    ]);
  }));
