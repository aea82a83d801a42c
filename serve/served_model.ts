/**
 * A model that texts come from: its directory, or that of an adapter, and what its tokens mean.
 *
 * @module
 */
import { openAdapters, readAdapterConfig } from "../adapters/mod.ts";
import {
  directoryTokenizer,
  findModel,
  isAdapter,
  type ModelDirectory,
  openDirectory,
  openWeights,
} from "../checkpoint/mod.ts";
import { type TensorIndex, UsageError } from "../files/mod.ts";
import { modelOf } from "../models/mod.ts";
import type { ModelSpec } from "../nn/mod.ts";
import { openChatTemplate, type Tokenizer } from "../tokenizers/mod.ts";

/** A model, ready to be sent to devices. */
export interface ServedModel {
  /** Of the model itself, not of its adapter. */
  readonly directory: ModelDirectory;
  /** With its adapter. */
  readonly model: ModelSpec;
  /** Looks where its parameters lie, those of the adapter included: after it is known that a device can hold them. */
  openWeights(): Promise<TensorIndex>;
}

/**
 * Opens a model.
 *
 * @param folder Of the model, or of an adapter, which says what its model is.
 * @param adapter Directory of an adapter of the model.
 * @throws {UsageError} If a directory cannot be used.
 */
export async function openServed(folder: string, adapter?: string): Promise<ServedModel> {
  const found = await baseOf(folder), directory = await openDirectory(found.base);
  const { family, config } = directory, chosen = adapter ?? found.adapter;
  const adapters = chosen === undefined ? undefined : await openAdapters(await findModel(chosen), directory);
  return {
    directory,
    model: { ...modelOf(family, config), tuning: adapters && { adapters: adapters.sizes } },
    openWeights: async () => new Map([...await openWeights(directory), ...adapters?.weights ?? []]),
  };
}

/**
 * The ids of a question, as the model was trained to be asked: by its chat template.
 *
 * @param system What the model is told first.
 * @throws {UsageError} If it has no chat template, or the template does not take the messages.
 */
export async function chatPrompt(folder: string, question: string, system?: string): Promise<number[]> {
  const { base } = await baseOf(folder), directory = await openDirectory(base);
  const template = await openChatTemplate(directory.companions),
    tokenizer = await directoryTokenizer(directory);
  if (template === undefined || tokenizer === undefined) {
    const missing = tokenizer === undefined
      ? "tokenizer.json"
      : "chat template (chat_template.jinja, or in tokenizer_config.json)";
    throw new UsageError(
      `Cannot use --chat with ${base}: it has no ${missing}; leave --chat out to go on from a text`,
    );
  }
  const told = system === undefined ? [] : [{ role: "system", content: system }];
  return tokenizer.encode(template.render([...told, { role: "user", content: question }], true));
}

/** The tokenizer of a model's directory, or, of an adapter, that of its model; undefined if nothing says what ids mean. */
export async function tokenizerOf(folder: string): Promise<Tokenizer | undefined> {
  return await directoryTokenizer(await openDirectory((await baseOf(folder)).base));
}

/** A directory, or, of an adapter, that of its model. */
async function baseOf(folder: string): Promise<{ readonly base: string; readonly adapter?: string }> {
  const found = await findModel(folder);
  return await isAdapter(found)
    ? { base: (await readAdapterConfig(found)).base, adapter: found }
    : { base: found };
}

/**
 * The tokens of a prompt, which the model must know.
 *
 * @throws {UsageError} If it has none, or a token that the model has not.
 */
export async function readPrompt(
  prompt: string | readonly number[],
  directory: ModelDirectory,
): Promise<number[]> {
  const { folder, family, config } = directory, { vocab } = family.sizes(config);
  if (typeof prompt === "string") {
    const tokenizer = await directoryTokenizer(directory);
    if (tokenizer === undefined) {
      throw new UsageError(
        `Cannot use --prompt with ${folder}: it has no tokenizer.json, which says what its ids mean; put it there, or ` +
          "give ids of tokens, as --prompt-ids 15496,995",
      );
    }
    const tokens = tokenizer.encode(prompt, true);
    if (tokens.length > 0) return tokens;
    throw new UsageError("Cannot generate from an empty --prompt: give at least one character");
  }
  if (prompt.length === 0) throw new UsageError("Cannot generate from no --prompt-ids: give at least one id");
  const position = prompt.findIndex((token) => !(Number.isInteger(token) && token >= 0 && token < vocab));
  if (position < 0) return [...prompt];
  throw new UsageError(
    `Cannot use these --prompt-ids: id ${prompt[position]} at position ${position} is outside the model's ` +
      `vocabulary of ${vocab}`,
  );
}
