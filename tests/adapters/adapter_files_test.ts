import { assertEquals, assertRejects } from "@std/assert";
import { makeAdapters, openAdapters } from "../../adapters/mod.ts";
import { openDirectory } from "../../checkpoint/mod.ts";
import { readSafetensors, UsageError, writeSafetensors } from "../../files/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const ADAPTER = `${GOLDEN}llama-lora/adapter_init`;
const NAME = "model.layers.0.self_attn.q_proj.lora_A.weight";

Deno.test("openAdapters() finds the layers of a file of PEFT's", async () => {
  const model = await openDirectory(`${GOLDEN}llama-tiny/init`),
    adapters = await openAdapters(ADAPTER, model);
  assertEquals(Object.keys(adapters.sizes).length, 4);
  assertEquals(adapters.sizes["model.layers.0.self_attn.q_proj"], { rank: 4, scale: 4 });
  assertEquals([adapters.shapes.get(NAME), adapters.names.get(NAME)], [[4, 64], `base_model.model.${NAME}`]);
  assertEquals([...adapters.weights.keys()].sort(), [...adapters.shapes.keys()].sort());
});

Deno.test("makeAdapters() has the names of Hugging Face's classes, and says how weights of GPT-2 lie", async () => {
  const model = await openDirectory(`${GOLDEN}gpt2-tiny/init`);
  const { names, json } = await makeAdapters(model, { rank: 2, alpha: 4, base: "b" });
  assertEquals(
    names.get("h.0.attn.c_attn.lora_B.weight"),
    "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight",
  );
  assertEquals([json.fan_in_fan_out, json.target_modules, json.r], [true, ["c_attn"], 2]);
});

Deno.test("openAdapters() refuses an adapter of another model, in one line", async () => {
  const gpt = await openDirectory(`${GOLDEN}gpt2-tiny/init`),
    qwen = await openDirectory(`${GOLDEN}families/qwen3/init`);
  await assertRejects(
    () => openAdapters(ADAPTER, gpt),
    UsageError,
    "it has no linear layer model.layers.0.self_attn",
  );
  await assertRejects(() => openAdapters(ADAPTER, qwen), UsageError, "lora_A.weight");
});

Deno.test("an adapter where a model is wanted is refused, with what to do", async () => {
  const text =
    "it is an adapter, which is no whole model; give its base model, and this as --adapter, or merge both";
  await assertRejects(() => openDirectory(ADAPTER), UsageError, text);
});

Deno.test("openAdapters() refuses tensors that are none of a LoRA's, and numbers that are not finite", () =>
  withTempDir(async (folder) => {
    const model = await openDirectory(`${GOLDEN}llama-tiny/init`);
    await Deno.copyFile(`${ADAPTER}/adapter_config.json`, `${folder}/adapter_config.json`);
    const tensors = [...await readSafetensors(`${ADAPTER}/adapter_model.safetensors`)].map((
      [name, tensor],
    ) => ({
      ...{ name, shape: tensor.shape, data: tensor.data.slice() },
    }));
    const write = (changed: typeof tensors) =>
      writeSafetensors(`${folder}/adapter_model.safetensors`, changed);
    await write([...tensors, {
      name: "base_model.model.x.lora_magnitude_vector",
      shape: [1],
      data: new Float32Array(1),
    }]);
    await assertRejects(() => openAdapters(folder, model), UsageError, "is no weight of a LoRA");
    tensors[0].data[3] = NaN;
    await write(tensors);
    await assertRejects(() => openAdapters(folder, model), UsageError, "element 3 of tensor");
    await write(tensors.slice(1));
    await assertRejects(() => openAdapters(folder, model), UsageError, "lora_");
  }));
