/**
 * Many texts at a time.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import type { ChosenToken, EngineOutput, Finish } from "./engine/mod.ts";
import { type EngineOptions, runEngine } from "./engine_run.ts";
import type { SampleChoice } from "./sample_options.ts";
import { openServed, readPrompt, type ServedModel } from "./served_model.ts";

/** A text to go on with. */
export interface BatchRequest extends SampleChoice {
  /** Whose it is: no two have the same. */
  readonly id: string;
  /** A text, which the tokenizer of the directory reads, or the ids of tokens. */
  readonly prompt: string | readonly number[];
  /** Added to the logits of tokens, by id. */
  readonly logitBias?: Readonly<Record<number, number>>;
}

/** What has become of a request. */
export interface BatchAnswer {
  /** Of the request. */
  readonly id: string;
  /** What was written, with the log-probability of each. */
  readonly chosen: readonly ChosenToken[];
  /** Why it has ended. */
  readonly finish: Finish;
}

/**
 * Goes on with many texts at a time; answers come as they are done. Each has the bits that it has alone. A text ends with
 * the context.
 *
 * @throws {UsageError} If the directory, a request or an option cannot be used.
 */
export async function* generateBatch(
  folder: string,
  requests: readonly BatchRequest[],
  options: EngineOptions = {},
): AsyncGenerator<BatchAnswer> {
  const chosen = new Map<string, ChosenToken[]>(requests.map(({ id }) => [id, []]));
  for await (const { id, chosen: token, finish } of streamBatch(folder, requests, options)) {
    if (token !== undefined) chosen.get(id)!.push(token);
    if (finish !== undefined) yield { id, chosen: chosen.get(id)!, finish };
  }
}

/**
 * As {@link generateBatch}: what each step has brought each request, as it comes.
 *
 * @throws {UsageError} If the directory, a request or an option cannot be used.
 */
export async function* streamBatch(
  folder: string,
  requests: readonly BatchRequest[],
  options: EngineOptions = {},
): AsyncGenerator<EngineOutput> {
  const served = await openServed(folder, options.adapter);
  yield* runEngine(served, await readRequests(served, requests), options);
}

async function readRequests({ directory }: ServedModel, requests: readonly BatchRequest[]) {
  const { context, vocab } = directory.family.sizes(directory.config);
  return await Promise.all(requests.map(async (request) => {
    const prompt = await readPrompt(request.prompt, directory);
    for (const [id, bias] of Object.entries(request.logitBias ?? {})) {
      if (Number.isInteger(Number(id)) && Number(id) >= 0 && Number(id) < vocab && Number.isFinite(bias)) {
        continue;
      }
      throw new UsageError(
        `Cannot use request ${request.id}: its logitBias of ${id} is ${bias}; ids are 0 to ${
          vocab - 1
        }, biases numbers`,
      );
    }
    if (prompt.length < context) return { ...request, prompt };
    throw new UsageError(
      `Cannot use request ${request.id}: its prompt has ${prompt.length} tokens, the model a context of ${context}; ` +
        `give at most ${context - 1}`,
    );
  }));
}
