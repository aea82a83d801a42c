import { assert, assertEquals, assertRejects } from "@std/assert";
import { directoryTokenizer, loadDirectory } from "../../checkpoint/mod.ts";
import { exportGguf, GGUF_TYPES } from "../../export/mod.ts";
import { readTensor, UsageError } from "../../files/mod.ts";
import { generateBatch, resolveSample } from "../../serve/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { pool } from "../support/pool.ts";

const goldenOf = (name: string) => new URL(`../golden/${name}/init`, import.meta.url).pathname;
const MODELS = [
  "llama-tiny",
  ...["qwen3", "mixtral", "llama3_tied", "llama_yarn", "llama_linear_odd"].map((name) => `families/${name}`),
];

async function answersOf(model: string, weights: "f32" | "q8_0" | "q4_0" | undefined) {
  const request = { id: "a", prompt: [1, 50, 7, 9], ...resolveSample({ numTokens: 12, temperature: 0 }) };
  return await Array.fromAsync(generateBatch(model, [request], { weights, pool }));
}

for (const name of MODELS) {
  Deno.test(`exportGguf() writes ${name} so that it is the same model`, () =>
    withTempDir(async (folder) => {
      const file = `${folder}/a.gguf`, model = await loadDirectory(goldenOf(name));
      await exportGguf(goldenOf(name), file, "f32");
      const found = await loadDirectory(file);
      assertEquals([...found.weights.keys()].sort(), [...model.weights.keys()].sort());
      for (const [key, tensor] of model.weights) {
        assertEquals(readTensor(found.weights.get(key)!), readTensor(tensor), key);
      }
      assertEquals(await answersOf(file, undefined), await answersOf(goldenOf(name), "f32"));
    }));
}

Deno.test("a GGUF file of blocks is run as it is stored: as the model is when it is rounded", () =>
  withTempDir(async (folder) => {
    for (const type of ["q8_0", "q4_0"] as const) {
      const file = `${folder}/${type}.gguf`,
        { bytes, tensors } = await exportGguf(goldenOf("llama-tiny"), file, type);
      assert(bytes > 0 && tensors === 21, `${tensors}`);
      const expected = await answersOf(goldenOf("llama-tiny"), type);
      assertEquals(await answersOf(file, undefined), expected);
      // A folder with one file is the model of that file.
      await Deno.mkdir(`${folder}/${type}`);
      await Deno.rename(file, `${folder}/${type}/model.gguf`);
      assertEquals(await answersOf(`${folder}/${type}`, undefined), expected);
    }
  }));

Deno.test("exportGguf() takes the vocabulary along", () =>
  withTempDir(async (folder) => {
    for (const name of await Array.fromAsync(Deno.readDir(goldenOf("llama-tiny")))) {
      await Deno.copyFile(`${goldenOf("llama-tiny")}/${name.name}`, `${folder}/${name.name}`);
    }
    const vocab = Object.fromEntries(
      [..."abcdefgh ", "\u0120", "ab", "cd", "abcd", "<end>"].map((token, id) => [token, id]),
    );
    const tokenizer = {
      ...{ version: "1.0", truncation: null, padding: null, normalizer: null, post_processor: null },
      added_tokens: [{
        id: vocab["<end>"],
        content: "<end>",
        special: true,
        single_word: false,
        lstrip: false,
      }],
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      decoder: { type: "ByteLevel" },
      model: { type: "BPE", vocab, merges: ["a b", "c d", "ab cd"] },
    };
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(tokenizer));
    const settings = { eos_token: "<end>", chat_template: "{{ messages }}" };
    await Deno.writeTextFile(`${folder}/tokenizer_config.json`, JSON.stringify(settings));
    for (const type of GGUF_TYPES) {
      const written = await exportGguf(folder, `${folder}/a.gguf`, type);
      assertEquals(written.problem, undefined);
      const model = await loadDirectory(`${folder}/a.gguf`), own = await directoryTokenizer(model);
      assertEquals(own!.encode("abcd abce<end>"), [12, 9, 10, 2, 4, 13]);
      assertEquals(own!.decode([12, 9, 10]), "abcd ab");
      assertEquals(model.companions.config.eos_token_id, vocab["<end>"]);
    }
  }));

Deno.test("exportGguf() refuses models that llama.cpp computes in another way, and writes nothing", () =>
  withTempDir(async (folder) => {
    const refused: [string, string][] = [
      ["gpt2-tiny", "its model_type is gpt2, supported are llama, mistral"],
      ["families/qwen2", "it has a window of 9 tokens"],
      ["families/qwen3_moe", "some of its layers have no experts"],
    ];
    for (const [name, message] of refused) {
      await assertRejects(() => exportGguf(goldenOf(name), `${folder}/a.gguf`, "f32"), UsageError, message);
    }
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  }));
