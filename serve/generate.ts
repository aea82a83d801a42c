/**
 * Text from a trained model.
 *
 * @module
 */
import { type EngineOptions, runEngine } from "./engine_run.ts";
import { resolveSample, type SampleOptions } from "./sample_options.ts";
import { openServed, readPrompt } from "./served_model.ts";

/** How to generate from a directory. */
export interface GenerateOptions extends Partial<Omit<SampleOptions, "prompt" | "endTokens">>, EngineOptions {
  /** What to go on from: a text, which the tokenizer of the directory reads, or the ids of tokens. */
  readonly prompt: string | readonly number[];
}

/**
 * Goes on writing a prompt with the model of a checkpoint or another directory of Hugging Face's form, token by
 * token, up to `numTokens` or the token that ends a text (`eos_token_id`). When the context is full, its last half is read
 * again, and the text goes on.
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
 * As {@link generate}, of several prompts, all at a time; the tokens of each come in a row, one prompt after the other.
 *
 * @throws {UsageError} If the directory, a prompt or an option cannot be used.
 */
export async function* generateAll(
  folder: string,
  prompts: readonly GenerateOptions["prompt"][],
  options: Omit<GenerateOptions, "prompt">,
): AsyncGenerator<WrittenToken> {
  const choice = resolveSample(options), served = await openServed(folder, options.adapter);
  const read = await Promise.all(prompts.map((prompt) => readPrompt(prompt, served.directory)));
  const requests = read.map((prompt, i) => ({ ...choice, prompt, id: `${i}`, slides: true }));
  const waiting: number[][] = read.map(() => []), ended = new Set<number>();
  let current = 0;
  for await (const { id, chosen, finish } of runEngine(served, requests, options)) {
    if (chosen !== undefined) waiting[+id].push(chosen.token);
    if (finish !== undefined) ended.add(+id);
    for (; current < waiting.length; current++) {
      for (const token of waiting[current].splice(0)) yield { prompt: current, token };
      if (!ended.has(current)) break;
    }
  }
}
