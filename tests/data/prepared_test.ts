import { assertEquals, assertRejects } from "@std/assert";
import { findManifest, loadCorpus, openTokens, prepareTokens } from "../../data/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { BYTES, gpt2Tokenizer } from "../../tokenizers/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";

const TEXT = "It was the whale.\nCall me \u{1f40b}.\n".repeat(50), OPTIONS = { context: 8, batch: 2 };

Deno.test("prepareTokens() writes the tokens that training on the text reads, and says of what they are", () =>
  withTempDir(async (folder) => {
    const file = `${folder}/t.txt`, tokenizer = await gpt2Tokenizer();
    await Deno.writeTextFile(file, TEXT);
    const manifest = await prepareTokens({ file, tokenizer, out: `${folder}/p` });
    const [prepared, direct] = [
      await loadCorpus(`${folder}/p.bin`, { ...OPTIONS, textTokenizer: () => Promise.resolve(tokenizer) }),
      await loadCorpus(file, { ...OPTIONS, textTokenizer: () => Promise.resolve(tokenizer) }),
    ];
    using one = openTokens(prepared.tokens);
    using other = openTokens(direct.tokens);
    assertEquals([...one.read(0, manifest.tokens)], tokenizer.encode(TEXT));
    assertEquals([...other.read(0, manifest.tokens)], tokenizer.encode(TEXT));
    assertEquals([prepared.vocab, manifest.dtype, manifest.text.bytes], [
      50257,
      "uint16",
      new TextEncoder().encode(TEXT).length,
    ]);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["p.bin", "p.json", "t.txt"]);
  }));

Deno.test("tokens of another tokenizer than the model's, and files that were cut, are refused", () =>
  withTempDir(async (folder) => {
    const file = `${folder}/t.txt`,
      tokenizer = await gpt2Tokenizer(),
      other = { ...tokenizer, name: "mine", hash: "x" };
    await Deno.writeTextFile(file, TEXT);
    const { tokens } = await prepareTokens({ file, tokenizer, out: `${folder}/p.bin` });
    const load = (own = tokenizer) =>
      loadCorpus(`${folder}/p.bin`, { ...OPTIONS, textTokenizer: () => Promise.resolve(own) });
    await load(BYTES);
    await assertRejects(
      () => load(other),
      UsageError,
      "its tokens are those of GPT-2, the model's those of mine",
    );
    assertEquals(await findManifest(`${folder}/none.bin`, 4), undefined);
    await Deno.truncate(`${folder}/p.bin`, tokens * 2 - 2);
    await assertRejects(() => load(), UsageError, "prepare it again");
  }));
