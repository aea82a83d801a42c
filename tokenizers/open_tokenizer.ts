import { readJson, readText, UsageError } from "../files/mod.ts";
import { BYTES_MARK } from "./bpe_file.ts";
import { BYTES } from "./bytes.ts";
import { GPT2_VOCAB, gpt2Tokenizer } from "./gpt2_tokenizer.ts";
import { hubTokenizer } from "./hub_tokenizer.ts";
import { tokenizerOfMerges } from "./merges_file.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Files that say what token ids mean: with one of them, ids are no bytes. */
export const TOKENIZER_FILES: readonly string[] = [
  ...["tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json"],
];

/** A directory of a model, as far as its tokens go. */
export interface TokenizerPlace {
  /** Where it is. */
  readonly from: string;
  /** Names of its files. */
  readonly files: readonly string[];
  /** `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Its ids are bytes, if no file says otherwise: it is a checkpoint of ours. */
  readonly hasBytes?: boolean;
  /** Files that no directory has: their texts by name. */
  readonly texts?: Readonly<Record<string, string>>;
}

/** Whether there is a file of that name. */
export function hasFile({ files, texts = {} }: TokenizerPlace, name: string): boolean {
  return files.includes(name) || Object.hasOwn(texts, name);
}

/**
 * Reads a file of a directory.
 *
 * @throws {UsageError} If it cannot be read.
 */
export async function readPlaceText({ from, texts = {} }: TokenizerPlace, name: string): Promise<string> {
  return Object.hasOwn(texts, name) ? texts[name] : await readText(`${from}/${name}`);
}

async function readPlaceJson(place: TokenizerPlace, name: string): Promise<unknown> {
  const { from, texts = {} } = place;
  return Object.hasOwn(texts, name) ? JSON.parse(texts[name]) : await readJson(`${from}/${name}`);
}

/** `tokenizer_config.json`, and what `special_tokens_map.json` says beside it. */
export async function readTokenizerConfig(place: TokenizerPlace): Promise<Record<string, unknown>> {
  const config: Record<string, unknown> = {};
  for (const name of ["special_tokens_map.json", "tokenizer_config.json"]) {
    if (hasFile(place, name)) Object.assign(config, await readPlaceJson(place, name));
  }
  return config;
}

/**
 * The tokenizer of a model's directory: by `tokenizer.json`, or `vocab.json` and `merges.txt`; of a GPT-2 without files
 * the one that all have; bytes where the checkpoint says so.
 *
 * @param vocab Of the model.
 * @returns undefined if nothing says what ids mean.
 * @throws {UsageError} If a file cannot be used, or has more tokens than the model.
 */
export async function openTokenizer(place: TokenizerPlace, vocab?: number): Promise<Tokenizer | undefined> {
  const { from } = place, tokenizer = await findTokenizer(place);
  if (tokenizer === undefined || vocab === undefined || tokenizer.vocab <= vocab) return tokenizer;
  throw new UsageError(
    `Cannot use the tokenizer of ${from}: it has ${tokenizer.vocab} tokens, and the model a vocabulary of ${vocab}; ` +
      `give the tokenizer that the model was trained with`,
  );
}

async function findTokenizer(place: TokenizerPlace): Promise<Tokenizer | undefined> {
  const { from, config, hasBytes } = place, has = (name: string) => hasFile(place, name);
  if (has("tokenizer.json")) {
    const path = `${from}/tokenizer.json`, tokenizer = await readPlaceJson(place, "tokenizer.json");
    if (typeof tokenizer !== "object" || tokenizer === null) {
      throw new UsageError(`Cannot use ${path}: it is not a JSON object`);
    }
    const settings = await readTokenizerConfig(place);
    if (settings[BYTES_MARK] === true) return BYTES;
    return await hubTokenizer({ tokenizer: tokenizer as Record<string, unknown>, config: settings }, path);
  }
  if (has("vocab.json") && has("merges.txt")) {
    const parts = {
      vocab: await readPlaceJson(place, "vocab.json"),
      merges: await readPlaceText(place, "merges.txt"),
      config: await readTokenizerConfig(place),
    };
    return await hubTokenizer(tokenizerOfMerges(parts, from), `${from}/vocab.json`);
  }
  if (has("tokenizer.model")) {
    throw new UsageError(
      `Cannot use ${from}/tokenizer.model: supported is tokenizer.json; write it with transformers: ` +
        `AutoTokenizer.from_pretrained("${from}").save_pretrained("${from}")`,
    );
  }
  if (hasBytes) return BYTES;
  const isGpt2 = (config.model_type ?? "gpt2") === "gpt2" && config.vocab_size === GPT2_VOCAB;
  return isGpt2 ? await gpt2Tokenizer() : undefined;
}
