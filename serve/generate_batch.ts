/**
 * Many texts at a time.
 *
 * @module
 */
import { endTokens } from "../checkpoint/mod.ts";
import { UsageError } from "../files/mod.ts";
import { toShared } from "../kernels/mod.ts";
import { loadModel } from "../models/mod.ts";
import { Mesh } from "../strategies/mod.ts";
import { checkEngineLayout } from "./engine_layout.ts";
import { type EngineJob, type EngineSetup, engineTopology, planEngine } from "./engine_program.ts";
import type { ChosenToken, EngineLimits, EngineOutput, EngineRequest, Finish } from "./engine/mod.ts";
import { reportsOf } from "./reports.ts";
import type { SampleChoice } from "./sample_options.ts";
import { openServed, readPrompt, sizeDevice } from "./served_model.ts";

/** A text to go on with. */
export interface BatchRequest extends SampleChoice {
  /** Whose it is: no two have the same. */
  readonly id: string;
  /** A text, which the tokenizer of the directory reads, or the ids of tokens. */
  readonly prompt: string | readonly number[];
}

/** How a batch is run. */
export interface BatchOptions {
  /** Directory of an adapter of the model. */
  readonly adapter?: string;
  /** Goes on after a token that ends a text. */
  readonly ignoreEos?: boolean;
  /** Backend of the devices; by default "wasm". */
  readonly kernels?: "wasm" | "reference";
  /** Devices that share every layer; by default 1. */
  readonly tp?: number;
  /** Stages, of which each device holds one; by default 1. */
  readonly pp?: number;
  /** Devices that share the experts; by default 1. */
  readonly ep?: number;
  /** Replicas, which take requests from one queue; by default 1. */
  readonly dp?: number;
  /** "exact": answers have the same bits on every layout; by default "fast". */
  readonly numerics?: "fast" | "exact";
  /** Sequences at a time of a replica; by default 32. */
  readonly maxSequences?: number;
  /** Tokens of a prompt that are read in a step; by default 64. */
  readonly prefillChunk?: number;
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

const PAGE_TOKENS = 64;

/**
 * Goes on with many texts at a time; answers come as they are done. Each has the bits that it has alone.
 *
 * @throws {UsageError} If the directory, a request or an option cannot be used.
 */
export async function* generateBatch(
  folder: string,
  requests: readonly BatchRequest[],
  options: BatchOptions = {},
): AsyncGenerator<BatchAnswer> {
  const { kernels = "wasm", adapter, ignoreEos = false } = options;
  const served = await openServed(folder, adapter), { directory, model } = served;
  const { family, config } = directory;
  const ends = ignoreEos ? [] : await endTokens(directory.companions), { context } = family.sizes(config);
  const read = await Promise.all(requests.map(async (request): Promise<EngineRequest> => {
    const prompt = await readPrompt(request.prompt, directory);
    if (prompt.length < context) return { ...request, prompt, endTokens: ends };
    throw new UsageError(
      `Cannot use request ${request.id}: its prompt has ${prompt.length} tokens, the model a context of ${context}; ` +
        `give at most ${context - 1}`,
    );
  }));
  const { dp = 1, tp = 1, pp = 1, ep = 1, numerics = "fast" } = options;
  const setup: EngineSetup = {
    ...{ model, sizes: family.sizes(config), kernels, isExact: numerics === "exact" },
    ...{ degrees: new Mesh({ dp, tp, pp, ep }).degrees, limits: limitsFor(read, context, options) },
  };
  checkEngineLayout({ ...setup, parts: await loadModel(model) });
  const deviceMemoryBytes = await sizeDevice(directory, () => planEngine(setup));
  const weights = await served.openWeights();
  const tickets = toShared(new Int32Array(1));
  const job: EngineJob = { ...setup, weights, requests: read, tickets };
  const reports = reportsOf<EngineOutput[]>("./engine_program.ts", job, {
    topology: engineTopology(setup.degrees),
    deviceMemoryBytes,
  });
  const chosen = new Map<string, ChosenToken[]>(read.map(({ id }) => [id, []]));
  for await (const outputs of reports) {
    for (const { id, chosen: token, finish } of outputs) {
      if (token !== undefined) chosen.get(id)!.push(token);
      if (finish !== undefined) yield { id, chosen: chosen.get(id)!, finish };
    }
  }
}

/** Pages for as many of the longest requests as run at a time on a replica. */
function limitsFor(
  requests: readonly EngineRequest[],
  context: number,
  { maxSequences = 32, prefillChunk = 64, dp = 1 }: BatchOptions,
): EngineLimits {
  const count = Math.max(1, Math.min(maxSequences, Math.ceil(requests.length / dp)));
  const longest = requests.map(({ prompt, numTokens }) => Math.min(context, prompt.length + numTokens))
    .sort((a, b) => b - a).slice(0, count);
  const numPages = longest.reduce((sum, tokens) => sum + Math.ceil(tokens / PAGE_TOKENS), 0);
  return {
    ...{ maxSequences: count, maxRows: Math.max(prefillChunk, count), prefillChunk },
    ...{ pageTokens: PAGE_TOKENS, numPages: Math.max(1, numPages) },
  };
}
