import { assertEquals, assertThrows } from "@std/assert";
import { textsOf, vocabularyOf } from "../../../checkpoint/mod.ts";
import { type GgufValue, UsageError } from "../../../files/mod.ts";
import { hubTokenizer } from "../../../tokenizers/mod.ts";

function metadataOf(values: Record<string, GgufValue>): Map<string, GgufValue> {
  return new Map(Object.entries(values).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));
}

async function open(texts: Record<string, string>) {
  const [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((name) =>
    JSON.parse(texts[name])
  );
  return await hubTokenizer({ tokenizer, config }, "a.gguf");
}

Deno.test("pieces of SentencePiece are put together by their scores", async () => {
  const pieces = ["<unk>", "<s>", "</s>", "<0x21>", "\u2581", "a", "b", "c", "ab", "bc", "\u2581ab", "abc"];
  const tokenizer = await open(textsOf(
    metadataOf({
      ...{ model: "llama", tokens: pieces, token_type: [2, 3, 3, 6, ...Array(8).fill(1)] },
      scores: [0, 0, 0, 0, -9, -9, -9, -9, -2, -1, -3, -4],
      ...{ bos_token_id: 1, eos_token_id: 2, add_bos_token: true },
    }),
    "a.gguf",
  ));
  // "bc" has the higher score, then "abc" is made of "a" and "bc".
  assertEquals(tokenizer.encode("abc"), [4, 11]);
  assertEquals(tokenizer.encode("ab!"), [10, 3]);
  assertEquals(tokenizer.encode("ab", true), [1, 10]);
  assertEquals(tokenizer.decode([10, 3, 4, 5]), "ab! a");
});

Deno.test("a vocabulary of no known kind is refused, one that is missing is none", () => {
  assertEquals(textsOf(new Map(), "a.gguf"), {});
  const tokens = ["a"];
  assertThrows(
    () => textsOf(metadataOf({ model: "bert", tokens }), "a.gguf"),
    UsageError,
    "of the kind bert",
  );
  const other = metadataOf({ model: "gpt2", pre: "deepseek-coder", tokens });
  assertThrows(
    () => textsOf(other, "a.gguf"),
    UsageError,
    "cuts words as deepseek-coder, supported are gpt-2",
  );
});

Deno.test("vocabularyOf() names ids where there is no tokenizer, and says what it leaves out", () => {
  const { metadata, problem } = vocabularyOf(undefined, 3);
  assertEquals([metadata.get("tokenizer.ggml.tokens")!.value, problem], [["[0]", "[1]", "[2]"], undefined]);
  const other = vocabularyOf({ tokenizer: { model: { type: "Unigram" } }, config: {} }, 3);
  assertEquals(other.problem?.includes("the tokenizer is left out"), true);
});

Deno.test("words are cut as llama.cpp's names of patterns say", async () => {
  const tokens = [..."abc0123456789", "\u0120", "ab", "01", "012"], merges = ["a b", "0 1", "01 2"];
  const cut = async (pre: string) =>
    (await open(textsOf(metadataOf({ model: "gpt2", pre, tokens, merges }), "a.gguf"))).encode("ab 0123");
  assertEquals(await cut("gpt-2"), [14, 13, 16, 6]);
  assertEquals(await cut("llama-bpe"), [14, 13, 16, 6]);
  // Digits one by one.
  assertEquals(await cut("qwen2"), [14, 13, 3, 4, 5, 6]);
});
