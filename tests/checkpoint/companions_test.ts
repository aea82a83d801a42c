import { assertEquals } from "@std/assert";
import { endTokens, findCompanions, mergeConfig, readCompanions } from "../../checkpoint/companions.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("findCompanions() finds what goes with a model, and readCompanions() leaves out what is gone", () =>
  withTempDir(async (folder) => {
    const names = ["merges.txt", "tokenizer.json", "generation_config.json", "README.md", "optimizer.pt"];
    for (const name of names) await Deno.writeTextFile(`${folder}/${name}`, name);
    const companions = await findCompanions(folder, {});
    assertEquals(companions.files, ["tokenizer.json", "merges.txt", "generation_config.json"]);
    await Deno.remove(`${folder}/merges.txt`);
    const read = await Array.fromAsync(readCompanions(companions));
    assertEquals(read.map(([name, bytes]) => [name, new TextDecoder().decode(bytes)]), [
      ["tokenizer.json", "tokenizer.json"],
      ["generation_config.json", "generation_config.json"],
    ]);
  }));

Deno.test("findCompanions() takes ids for bytes in checkpoints of ours whose vocabulary are bytes, and nowhere else", () =>
  withTempDir(async (folder) => {
    const hasBytes = async (vocab_size: number) => (await findCompanions(folder, { vocab_size })).hasBytes;
    assertEquals(await hasBytes(256), false);
    await Deno.writeTextFile(`${folder}/trainer_state.json`, "{}");
    assertEquals([await hasBytes(256), await hasBytes(257)], [true, false]);
  }));

Deno.test("readCompanions() gives files that no directory has yet, too", async () => {
  const texts = { "tokenizer.json": "{}" }, companions = { from: "", files: [], config: {}, texts };
  const read = await Array.fromAsync(readCompanions(companions));
  assertEquals(read.map(([name, bytes]) => [name, new TextDecoder().decode(bytes)]), [[
    "tokenizer.json",
    "{}",
  ]]);
});

Deno.test("mergeConfig() keeps fields of the source, and says what is known better", () => {
  const config = { eos_token_id: 5, n_positions: 1024, dtype: "bfloat16", note: "mine", attn_pdrop: 0.1 };
  assertEquals(mergeConfig({ config }, { n_positions: 16, attn_pdrop: 0, torch_dtype: "float32" }), {
    eos_token_id: 5,
    n_positions: 16,
    note: "mine",
    attn_pdrop: 0,
    torch_dtype: "float32",
  });
});

Deno.test("endTokens() reads one id or several, from generation_config.json before config.json", () =>
  withTempDir(async (from) => {
    const none = { from, files: [], config: {} };
    assertEquals(await endTokens(none), []);
    assertEquals(await endTokens({ ...none, config: { eos_token_id: 7 } }), [7]);
    const all = { from, files: ["generation_config.json"], config: { eos_token_id: 7 } };
    const read = async (text: string) => {
      await Deno.writeTextFile(`${from}/generation_config.json`, text);
      return await endTokens(all);
    };
    assertEquals(await read('\ufeff{"eos_token_id": [3, 4]}'), [3, 4]);
    assertEquals(await read('{"eos_token_id": 3}'), [3]);
    assertEquals(await read('{"eos_token_id": null}'), [7]);
  }));
