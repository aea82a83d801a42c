import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import {
  bpeFiles,
  byteFiles,
  BYTES,
  END_OF_TEXT,
  learnMerges,
  openTokenizer,
  tokenizerTexts,
} from "../../tokenizers/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";

const MERGES = learnMerges(new Map([[" the", 5], ["whale", 4]]), 6);

/** Opens the tokenizer of a directory of these files. */
async function open(
  files: Record<string, unknown>,
  more: { vocab?: number; hasBytes?: boolean; config?: object } = {},
) {
  return await withTempDirOf(
    files,
    (from) =>
      openTokenizer(
        { from, files: Object.keys(files), config: { ...more.config }, hasBytes: more.hasBytes },
        more.vocab,
      ),
  );
}

async function withTempDirOf<T>(
  files: Record<string, unknown>,
  run: (folder: string) => Promise<T>,
): Promise<T> {
  let result: T;
  await withTempDir(async (folder) => {
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(
        `${folder}/${name}`,
        typeof content === "string" ? content : JSON.stringify(content),
      );
    }
    result = await run(folder);
  });
  return result!;
}

Deno.test("openTokenizer() reads tokenizer.json, or vocab.json with merges.txt, and both give the same ids", async () => {
  const files = bpeFiles(MERGES),
    { vocab, merges } = files.tokenizer.model as { vocab: object; merges: string[] };
  const one = (await open(tokenizerTexts(files)))!;
  const other = (await open({ "vocab.json": vocab, "merges.txt": `#version: 0.2\n${merges.join("\n")}\n` }))!;
  const text = ` the white whale${END_OF_TEXT} the\n`;
  assertEquals(other.encode(text), one.encode(text));
  assertEquals([one.vocab, other.vocab], [263, 263]);
  assertEquals(one.decode(one.encode(text)), text.replace(END_OF_TEXT, ""));
});

Deno.test("openTokenizer() puts ids around a text as the files say", async () => {
  const { tokenizer, config } = bpeFiles(MERGES), end = 262;
  const withConfig = async (more: object) =>
    (await open(tokenizerTexts({ tokenizer, config: { ...config, ...more } })))!;
  assertEquals((await withConfig({})).encode("a", true), [97]);
  assertEquals((await withConfig({ add_bos_token: true })).encode("a", true), [end, 97]);
  assertEquals((await withConfig({ add_bos_token: true })).encode("a"), [97]);
  assertEquals(
    (await withConfig({ add_eos_token: true, eos_token: { content: END_OF_TEXT } })).encode("a", true),
    [97, end],
  );
});

Deno.test("openTokenizer() knows bytes and GPT-2 without files, and nothing else", async () => {
  assertEquals(await open({}), undefined);
  assertEquals(await open({}, { hasBytes: true }), BYTES);
  assertEquals(await open(byteFiles()), BYTES);
  const gpt2 = (await open({}, { config: { vocab_size: 50257 } }))!;
  assertEquals(gpt2.encode("Hello, world<|endoftext|>"), [15496, 11, 995, 50256]);
  assertEquals(gpt2.decode([15496, 11, 995, 50256]), "Hello, world");
  assertEquals(await open({}, { config: { vocab_size: 50257, model_type: "llama" } }), undefined);
});

Deno.test("openTokenizer() refuses what it cannot compute, in one line", async () => {
  const refuses = async (files: Record<string, unknown>, text: string, vocab?: number) => {
    const { message } = await assertRejects(() => open(files, { vocab }), UsageError);
    assert(message.includes(text) && !message.includes("\n"), message);
  };
  await refuses({ "tokenizer.json": {} }, 'must contain a "model" property');
  await refuses({ "tokenizer.json": "[" }, "tokenizer.json");
  await refuses({ "tokenizer.model": "x" }, "supported is tokenizer.json; write it with transformers");
  await refuses(
    tokenizerTexts(bpeFiles(MERGES)),
    "it has 263 tokens, and the model a vocabulary of 256",
    256,
  );
  await refuses({ "vocab.json": { a: 0 }, "merges.txt": "a b c" }, '"a b c" is not two tokens');
  await refuses({ "vocab.json": [], "merges.txt": "a" }, "merges.txt");
  const qwen = {
    "vocab.json": { a: 0 },
    "merges.txt": "",
    "tokenizer_config.json": { tokenizer_class: "Qwen2Tokenizer" },
  };
  await refuses(qwen, "they do not say how a Qwen2Tokenizer cuts words");
});
