import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { type Corpus, corpusFromText, type CorpusOptions, loadCorpus } from "../../data/corpus.ts";
import { openTokens } from "../../data/tokens.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const SMALL: CorpusOptions = { context: 4, batch: 2 };

/** Tokens of a corpus. */
function read({ tokens }: Pick<Corpus, "tokens">, start = 0, end = tokens.length): number[] {
  using reader = openTokens(tokens);
  return [...reader.read(start, end - start)];
}

async function writeTokens(path: string, tokens: number[]): Promise<void> {
  const bytes = new Uint8Array(tokens.flatMap((token) => [token & 255, token >> 8]));
  await Deno.writeFile(path, bytes);
}

Deno.test("loadCorpus() reads the whole of Moby Dick by default", async () => {
  const corpus = await loadCorpus(undefined, { context: 64, batch: 12 });
  assertEquals(corpus.vocab, 256);
  assert(corpus.tokens.kind === "memory" && corpus.tokens.values.buffer instanceof SharedArrayBuffer);
  const text = new TextDecoder().decode(Uint8Array.from(read(corpus)));
  assert(
    corpus.tokens.length > 1_200_000 && corpus.tokens.length < 1_300_000,
    `${corpus.tokens.length} bytes`,
  );
  assertMatch(text, /CHAPTER 1\. Loomings\.\n\nCall me Ishmael\./);
  assert(text.indexOf("CHAPTER 10.") > text.indexOf("CHAPTER 9."), "chapters stand in their order");
  assertMatch(text.slice(-200), /only found another orphan\.\s*$/);
  assertMatch(corpus.statement, /^Moby Dick: 1,0\d\d,\d\d\d tokens to train, 12\d,\d\d\d to validate$/);
});

Deno.test("loadCorpus() reads a text as bytes and holds out the last tenth", async () => {
  await withTempDir(async (folder) => {
    await Deno.writeTextFile(`${folder}/a.txt`, "\u00e9".repeat(50));
    const corpus = await loadCorpus(`${folder}/a.txt`, SMALL);
    assertEquals(read(corpus, 0, 4), [0xc3, 0xa9, 0xc3, 0xa9]);
    assertEquals([corpus.train, corpus.validation], [{ start: 0, end: 90 }, { start: 90, end: 100 }]);
  });
});

Deno.test("corpusFromText() holds nothing out when no window would be left", () => {
  const corpus = corpusFromText("short", "x".repeat(49), SMALL);
  assertEquals([corpus.train.end, corpus.validation], [49, undefined]);
  assertEquals(corpus.statement, "short: 49 tokens to train, none to validate (no 5 tokens can be held out)");
  assertEquals(corpusFromText("long enough", "x".repeat(50), SMALL).validation, { start: 45, end: 50 });
});

Deno.test("corpusFromText() never holds out tokens that a run asks for", () => {
  const range = (minTrainTokens: number) => {
    const { train, validation } = corpusFromText("t", "x".repeat(100), { ...SMALL, minTrainTokens });
    return [train.end, validation?.start];
  };
  assertEquals(range(50), [90, 90]);
  assertEquals(range(93), [93, 93]);
  assertEquals(range(97), [100, undefined]);
  assertEquals(range(500), [100, undefined]);
});

Deno.test("loadCorpus() reads token files, with val.bin beside train.bin", async () => {
  await withTempDir(async (folder) => {
    await writeTokens(`${folder}/train.bin`, Array.from({ length: 60 }, (_, i) => i * 800));
    assertEquals((await loadCorpus(`${folder}/train.bin`, SMALL)).validation, { start: 54, end: 60 });
    await writeTokens(`${folder}/val.bin`, [1, 2, 3, 4, 5, 6]);
    const corpus = await loadCorpus(`${folder}/train.bin`, SMALL);
    assertEquals(corpus.vocab, 50257);
    assertEquals([corpus.train, corpus.validation], [{ start: 0, end: 60 }, { start: 0, end: 6 }]);
    assertEquals([read(corpus, 58), read({ tokens: corpus.validationTokens! })], [[46400, 47200], [
      1,
      2,
      3,
      4,
      5,
      6,
    ]]);
    await writeTokens(`${folder}/val.bin`, [1, 65000]);
    const message = "train.bin: token 65000 at position 1 is outside the vocabulary of 50257";
    await assertRejects(() => loadCorpus(`${folder}/train.bin`, SMALL), UsageError, message);
  });
});

Deno.test("loadCorpus() says what is wrong with a file", async () => {
  await withTempDir(async (folder) => {
    const write = async (name: string, bytes: number[]) => {
      await Deno.writeFile(`${folder}/${name}`, new Uint8Array(bytes));
      return `${folder}/${name}`;
    };
    const check = async (path: string, message: string, options = SMALL) => {
      const error = await assertRejects(() => loadCorpus(path, options), UsageError, message);
      assert(!error.message.includes("\n"));
    };
    await check(`${folder}/none.txt`, "none.txt: it does not exist");
    await check(folder, "it is a directory");
    await check(await write("empty.txt", []), "empty.txt: it is empty");
    await check(await write("empty.bin", []), "empty.bin: it is empty");
    await check(
      await write("odd.bin", [1, 2, 3]),
      "as uint16 it holds 2 bytes a token, and its 3 bytes are no multiple",
    );
    await check(
      await write("short.txt", [1, 2, 3]),
      "3 tokens are too short for a batch of 2 sequences of 4",
    );
    await check(
      await write("big.bin", [...Array(40).fill(0), 44, 1]),
      "token 300 at position 20 is outside the vocabulary of 256; check that the file is of the model's tokenizer",
      { ...SMALL, vocab: 256 },
    );
  });
  assertThrows(
    () => corpusFromText("t", "abc".repeat(20), { ...SMALL, vocab: 98 }),
    UsageError,
    "token 98 at position 1",
  );
});
