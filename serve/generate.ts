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
  endTokens,
  findModel,
  isAdapter,
  type ModelDirectory,
  openDirectory,
  openWeights,
  whyNoBytes,
} from "../checkpoint/mod.ts";
import { EventQueue } from "../train/mod.ts";
import { type GenerateJob, planGenerate } from "./generate_program.ts";
import { resolveSample, type SampleOptions } from "./sample_options.ts";

/** How to generate from a directory. */
export interface GenerateOptions extends Partial<Omit<SampleOptions, "prompt" | "endTokens">> {
  /** What to go on from: a text, whose bytes are the tokens of a model of bytes, or the ids of tokens. */
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
/** A model with a vocabulary below this one reads and writes bytes. */
const BYTE_VOCAB = 256;

/** Decodes bytes of UTF-8 as they come; tokens above 255 are shown as U+FFFD. */
export class ByteText {
  readonly #decoder = new TextDecoder();

  /** Text that is complete with this token. */
  next(token: number): string {
    if (token >= BYTE_VOCAB) return this.#decoder.decode() + "\ufffd";
    return this.#decoder.decode(Uint8Array.of(token), { stream: true });
  }

  /** What is left at the end. */
  end(): string {
    return this.#decoder.decode();
  }
}

/** The bytes of a text, as tokens. */
export function encodeBytes(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

/**
 * Goes on writing a prompt with the model of a checkpoint or another directory of Hugging Face's form, token by
 * token, up to `numTokens` or the token that ends a text (`eos_token_id`).
 *
 * A mixture of experts never drops a token here: every token is a unit of its own, and each of its experts has room.
 *
 * @throws {UsageError} If the directory, the prompt or an option cannot be used.
 */
export async function* generate(folder: string, options: GenerateOptions): AsyncGenerator<number> {
  const { kernels = "wasm" } = options, choice = resolveSample(options);
  const { base, adapter = options.adapter } = await baseOf(folder);
  const directory = await openDirectory(base), { family, config, companions } = directory;
  const prompt = readPrompt(options.prompt, directory);
  const adapters = adapter === undefined ? undefined : await openAdapters(adapter, directory);
  const tuning = adapters && { adapters: adapters.sizes };
  const deviceMemoryBytes = options.deviceMemoryBytes ?? sizeDevice(directory, { tuning, kernels });
  const ends = options.ignoreEos ? [] : await endTokens(companions);
  const job: GenerateJob = {
    model: { ...modelOf(family, config), tuning },
    weights: new Map([...await openWeights(directory), ...adapters?.weights ?? []]),
    kernels,
    sample: { prompt, ...choice, endTokens: ends },
  };
  const tokens = new EventQueue<number>();
  const world = launch({
    program: new URL("./generate_program.ts", import.meta.url).href,
    config: job,
    topology: new Mesh({}).topology(),
    deviceMemoryBytes,
    onReport: (_rank, token) => tokens.push(token as number),
  });
  world.done.then(() => tokens.end(), (error) => tokens.fail(error));
  try {
    yield* tokens;
  } finally {
    world.terminate(0);
    await world.done.catch(() => {});
  }
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
function readPrompt(
  prompt: string | readonly number[],
  { folder, family, config, companions }: ModelDirectory,
): number[] {
  const { vocab } = family.sizes(config);
  const isText = typeof prompt === "string", tokens = isText ? encodeBytes(prompt) : [...prompt];
  const what = isText ? "--prompt" : "--ids", unit = isText ? "byte" : "id";
  if (tokens.length === 0) {
    throw new UsageError(
      `Cannot generate from ${isText ? "an empty" : "no"} ${what}: give at least one ${
        isText ? "character" : "id"
      }`,
    );
  }
  const why = isText ? whyNoBytes(companions, vocab) : undefined;
  if (why !== undefined) {
    throw new UsageError(
      `Cannot use --prompt with ${folder}: ${why}; give ids of tokens and get ids back, as --ids 15496,995`,
    );
  }
  const position = tokens.findIndex((token) => !(Number.isInteger(token) && token >= 0 && token < vocab));
  if (position < 0) return tokens;
  throw new UsageError(
    `Cannot use ${isText ? "this" : "these"} ${what}: ${unit} ${
      tokens[position]
    } at position ${position} is outside ` +
      `the model's vocabulary of ${vocab}`,
  );
}
