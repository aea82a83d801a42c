/**
 * Text from a trained model.
 *
 * @module
 */
import { launch } from "../actors/mod.ts";
import { openAdapters, readAdapterConfig } from "../adapters/mod.ts";
import { storedLength, UsageError } from "../files/mod.ts";
import { formatBytes } from "../kernels/mod.ts";
import { modelOf, shapesOf } from "../models/mod.ts";
import { Mesh } from "../strategies/mod.ts";
import {
  directoryTokenizer,
  endTokens,
  findModel,
  isAdapter,
  type ModelDirectory,
  openDirectory,
  openWeights,
} from "../checkpoint/mod.ts";
import { EventQueue } from "../train/mod.ts";
import { openChatTemplate, type Tokenizer } from "../tokenizers/mod.ts";
import { type GenerateJob, planGenerate } from "./generate_program.ts";
import { resolveSample, type SampleOptions } from "./sample_options.ts";

/** How to generate from a directory. */
export interface GenerateOptions extends Partial<Omit<SampleOptions, "prompt" | "endTokens">> {
  /** What to go on from: a text, which the tokenizer of the directory reads, or the ids of tokens. */
  readonly prompt: string | readonly number[];
  /** Directory of an adapter of the model, as PEFT has them. */
  readonly adapter?: string;
  /** Goes on after a token that ends a text; by default the text ends before it. */
  readonly ignoreEos?: boolean;
  /** Backend of the device; by default "wasm". */
  readonly kernels?: "wasm" | "reference";
  /** Cap of the memory of the device; by default as much as the model needs. */
  readonly deviceMemoryBytes?: number;
}

/** What a 32-bit address reaches, less a page. */
const MAX_DEVICE_BYTES = 2 ** 32 - 2 ** 16;
/**
 * Goes on writing a prompt with the model of a checkpoint or another directory of Hugging Face's form, token by
 * token, up to `numTokens` or the token that ends a text (`eos_token_id`).
 *
 * A mixture of experts never drops a token here: every token is a unit of its own, and each of its experts has room.
 *
 * @throws {UsageError} If the directory, the prompt or an option cannot be used.
 */
export async function* generate(folder: string, options: GenerateOptions): AsyncGenerator<number> {
  for await (const { token } of generateAll(folder, [options.prompt], options)) yield token;
}

/** A token that goes on from a prompt. */
export interface WrittenToken {
  /** Place of the prompt among those that were given. */
  readonly prompt: number;
  /** What was written. */
  readonly token: number;
}

/**
 * As {@link generate}, of several prompts, one after the other: the model is loaded once.
 *
 * @throws {UsageError} If the directory, a prompt or an option cannot be used.
 */
export async function* generateAll(
  folder: string,
  prompts: readonly GenerateOptions["prompt"][],
  options: Omit<GenerateOptions, "prompt">,
): AsyncGenerator<WrittenToken> {
  const { kernels = "wasm" } = options, choice = resolveSample(options);
  const { base, adapter = options.adapter } = await baseOf(folder);
  const directory = await openDirectory(base), { family, config, companions } = directory;
  const read = await Promise.all(prompts.map((prompt) => readPrompt(prompt, directory)));
  const adapters = adapter === undefined
    ? undefined
    : await openAdapters(await findModel(adapter), directory);
  const tuning = adapters && { adapters: adapters.sizes };
  const deviceMemoryBytes = options.deviceMemoryBytes ?? sizeDevice(directory, { tuning, kernels });
  const ends = options.ignoreEos ? [] : await endTokens(companions);
  const job: GenerateJob = {
    model: { ...modelOf(family, config), tuning },
    weights: new Map([...await openWeights(directory), ...adapters?.weights ?? []]),
    kernels,
    samples: read.map((prompt) => ({ prompt, ...choice, endTokens: ends })),
  };
  const tokens = new EventQueue<WrittenToken>();
  const world = launch({
    program: new URL("./generate_program.ts", import.meta.url).href,
    config: job,
    topology: new Mesh({}).topology(),
    deviceMemoryBytes,
    onReport: (_rank, token) => tokens.push(token as WrittenToken),
  });
  world.done.then(() => tokens.end(), (error) => tokens.fail(error));
  try {
    yield* tokens;
  } finally {
    world.terminate(0);
    await world.done.catch(() => {});
  }
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

/** Device memory for a model. */
function sizeDevice(
  { folder, family, config }: ModelDirectory,
  how: Pick<GenerateJob, "kernels"> & Pick<GenerateJob["model"], "tuning">,
): number {
  const lengths = [...shapesOf(family.layers(config)).values()].map((shape) => storedLength({ shape }));
  // The plan of a model that is far too large would take long.
  const least = 4 * lengths.reduce((a, b) => a + b, 0);
  const isTooLarge = least > MAX_DEVICE_BYTES;
  const bytes = isTooLarge ? least : planGenerate({ family, config, ...how });
  if (bytes <= MAX_DEVICE_BYTES) return bytes;
  const what = isTooLarge ? "weights alone" : "weights and cache", most = formatBytes(MAX_DEVICE_BYTES);
  throw new UsageError(
    `Cannot generate with ${folder}: its ${what} need ${formatBytes(bytes)}, a device has at most ${most}; ` +
      `use a smaller model`,
  );
}

/** The tokens of a prompt, which the model must know. */
async function readPrompt(
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
