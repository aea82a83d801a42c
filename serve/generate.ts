/**
 * Text from a trained model.
 *
 * @module
 */
import { endTokens } from "../checkpoint/mod.ts";
import { type GenerateJob, planGenerate } from "./generate_program.ts";
import { resolveSample, type SampleOptions } from "./sample_options.ts";
import { reportsOf } from "./reports.ts";
import { openServed, readPrompt, sizeDevice } from "./served_model.ts";

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
  const served = await openServed(folder, options.adapter), { directory, model } = served;
  const read = await Promise.all(prompts.map((prompt) => readPrompt(prompt, directory)));
  const { family, config } = directory, { tuning } = model;
  const deviceMemoryBytes = options.deviceMemoryBytes ??
    await sizeDevice(directory, () => planGenerate({ family, config, tuning, kernels }));
  const ends = options.ignoreEos ? [] : await endTokens(directory.companions);
  const job: GenerateJob = {
    ...{ model, weights: await served.openWeights(), kernels },
    samples: read.map((prompt) => ({ prompt, ...choice, endTokens: ends })),
  };
  yield* reportsOf<WrittenToken>("./generate_program.ts", job, { deviceMemoryBytes });
}
