/**
 * What a model's directory has besides its weights: the files of its tokenizer, and fields of `config.json`. They go with
 * the model into every checkpoint that is trained from it.
 *
 * @module
 */
import { readJson } from "../files/mod.ts";

/** Files that say what token ids mean: with one of them, ids are no bytes. */
const TOKENIZER = ["tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json"];
/** Files that are copied. */
const COPIED = [
  ...TOKENIZER,
  ...["special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json"],
];
/** Tokens of a model that reads and writes bytes. */
const BYTE_VOCAB = 256;

/** What goes with a model: plain data, as part of a job. */
export interface Companions {
  /** The directory that has the files. */
  readonly from: string;
  /** Their names. */
  readonly files: readonly string[];
  /** All of `config.json`; a checkpoint replaces what it knows better. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Looks which files go with a model. */
export async function findCompanions(
  from: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Companions> {
  const names = (await Array.fromAsync(Deno.readDir(from))).map(({ name }) => name);
  return { from, files: COPIED.filter((name) => names.includes(name)), config };
}

/** `config.json` of a checkpoint: fields of the model that it was trained from, with what is known of it now. */
export function mergeConfig(
  { config }: Pick<Companions, "config">,
  known: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  // The newer name of `torch_dtype`: the weights are float32 now.
  const { dtype: _, ...kept } = config;
  return { ...kept, ...known };
}

/** Reads the files, to be written into a checkpoint. One that is gone by now is left out: the weights matter more. */
export async function* readCompanions({ from, files }: Companions): AsyncGenerator<[string, Uint8Array]> {
  for (const name of files) {
    const bytes = await Deno.readFile(`${from}/${name}`).catch(() => undefined);
    if (bytes !== undefined) yield [name, bytes];
  }
}

/**
 * Why the token ids of a model are no bytes, as the end of a message; undefined if they are.
 *
 * They are if no file says otherwise and the vocabulary is that of bytes, at most 256.
 */
export function whyNoBytes(companions: Companions, vocab: number): string | undefined {
  const file = companions.files.find((name) => TOKENIZER.includes(name));
  if (file !== undefined) return `its token ids are those of ${companions.from}/${file}`;
  return vocab > BYTE_VOCAB ? `its vocabulary of ${vocab} is not that of bytes` : undefined;
}

/**
 * Ids of the tokens that end a text: `eos_token_id` of `generation_config.json`, or else of `config.json`; one or
 * several.
 *
 * @throws {UsageError} If the file is no JSON.
 */
export async function endTokens({ from, files, config }: Companions): Promise<number[]> {
  const name = "generation_config.json";
  const generation = files.includes(name) ? await readJson(`${from}/${name}`) as typeof config : undefined;
  const ids = generation?.eos_token_id ?? config.eos_token_id ?? [];
  return [ids].flat().filter((id) => typeof id === "number");
}
