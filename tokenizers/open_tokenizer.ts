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

async function findTokenizer(
  { from, files, config, hasBytes }: TokenizerPlace,
): Promise<Tokenizer | undefined> {
  const has = (name: string) => files.includes(name);
  if (has("tokenizer.json")) {
    const path = `${from}/tokenizer.json`, tokenizer = await readJson(path);
    if (typeof tokenizer !== "object" || tokenizer === null) {
      throw new UsageError(`Cannot use ${path}: it is not a JSON object`);
    }
    const settings = await readConfig(from, has);
    if (settings[BYTES_MARK] === true) return BYTES;
    return await hubTokenizer({ tokenizer: tokenizer as Record<string, unknown>, config: settings }, path);
  }
  if (has("vocab.json") && has("merges.txt")) {
    const parts = {
      vocab: await readJson(`${from}/vocab.json`),
      merges: await readText(`${from}/merges.txt`),
      config: await readConfig(from, has),
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

/** `tokenizer_config.json`, and what `special_tokens_map.json` says beside it. */
async function readConfig(from: string, has: (name: string) => boolean): Promise<Record<string, unknown>> {
  const config: Record<string, unknown> = {};
  for (const name of ["special_tokens_map.json", "tokenizer_config.json"]) {
    if (has(name)) Object.assign(config, await readJson(`${from}/${name}`));
  }
  return config;
}
