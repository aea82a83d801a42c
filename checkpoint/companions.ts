/**
 * What a model's directory has besides its weights: the files of its tokenizer, and fields of `config.json`. They go with
 * the model into every checkpoint that is trained from it.
 *
 * @module
 */
import { readJson } from "../files/mod.ts";
import { BYTES, TOKENIZER_FILES, type TokenizerPlace } from "../tokenizers/mod.ts";

/** Files that are copied. */
const COPIED = [
  ...TOKENIZER_FILES,
  ...["special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json"],
];
/** What runs of this library have. */
const STATE = "trainer_state.json";

/** What goes with a model: plain data, as part of a job. */
export type Companions = TokenizerPlace;

/** Looks which files go with a model. */
export async function findCompanions(
  from: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Companions> {
  const names = (await Array.fromAsync(Deno.readDir(from))).map(({ name }) => name);
  // Its ids are others where its vocabulary is larger, even if the tokenizer's files are gone.
  const hasBytes = names.includes(STATE) && !(Number(config.vocab_size) > BYTES.vocab);
  return { from, files: COPIED.filter((name) => names.includes(name)), config, hasBytes };
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
export async function* readCompanions(
  { from, files, texts = {} }: Companions,
): AsyncGenerator<[string, Uint8Array]> {
  for (const [name, text] of Object.entries(texts)) yield [name, new TextEncoder().encode(text)];
  for (const name of files) {
    const bytes = await Deno.readFile(`${from}/${name}`).catch(() => undefined);
    if (bytes !== undefined) yield [name, bytes];
  }
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
