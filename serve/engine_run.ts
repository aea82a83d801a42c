/**
 * An engine on devices of its own, and what comes of its requests.
 *
 * @module
 */
import type { WorkerPool } from "../actors/mod.ts";
import { endTokens } from "../checkpoint/mod.ts";
import { UsageError } from "../files/mod.ts";
import { toShared } from "../kernels/mod.ts";
import { loadModel } from "../models/mod.ts";
import { Mesh } from "../strategies/mod.ts";
import type { EngineLimits, EngineOutput, EngineRequest } from "./engine/mod.ts";
import { checkEngineLayout } from "./engine_layout.ts";
import { type EngineJob, type EngineSetup, engineTopology } from "./engine_program.ts";
import { fitEngine } from "./fit_engine.ts";
import type { WeightChoice } from "./load_weights.ts";
import { reportsOf } from "./reports.ts";
import type { ServedModel } from "./served_model.ts";

/** How an engine is run. */
export interface EngineOptions {
  /** Directory of an adapter of the model. */
  readonly adapter?: string;
  /** Goes on after a token that ends a text; by default the text ends before it. */
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
  /** What weights are computed with; by default as they are stored, if in blocks, or "f32". */
  readonly weights?: WeightChoice;
  /** Sequences at a time of a replica; by default 32. */
  readonly maxSequences?: number;
  /** Tokens of a prompt that are read in a step; by default 64. */
  readonly prefillChunk?: number;
  /** Where workers come from and go to; by default an engine has its own. */
  readonly pool?: WorkerPool;
  /** Most memory of a device; by default as much as the model needs. */
  readonly deviceMemoryBytes?: number;
}

/** Tokens of a page of the cache. */
export const PAGE_TOKENS = 64;

/**
 * Runs requests on a model, and yields what each step has brought.
 *
 * @throws {UsageError} If the model cannot be run so.
 */
export async function* runEngine(
  { directory, model, openWeights }: ServedModel,
  requests: readonly Omit<EngineRequest, "endTokens">[],
  options: EngineOptions,
): AsyncGenerator<EngineOutput> {
  const setup = setUpEngine({ directory, model }, requests, options);
  checkEngineLayout({ ...setup, parts: await loadModel(model) });
  const deviceMemoryBytes = await fitEngine(directory, setup, options.deviceMemoryBytes);
  const ends = options.ignoreEos ? [] : await endTokens(directory.companions);
  const job: EngineJob = {
    ...{ ...setup, tensors: await openWeights(), tickets: toShared(new Int32Array(1)) },
    requests: requests.map((request) => ({ ...request, endTokens: ends })),
  };
  const topology = engineTopology(setup.degrees);
  for await (
    const outputs of reportsOf<EngineOutput[]>("./engine_program.ts", job, {
      ...{ topology, deviceMemoryBytes, pool: options.pool },
    })
  ) yield* outputs;
}

/**
 * What devices run, by the options.
 *
 * @throws {UsageError} If they cannot be used together.
 */
export function setUpEngine(
  { directory, model }: Pick<ServedModel, "directory" | "model">,
  requests: readonly Pick<EngineRequest, "prompt" | "numTokens" | "promptLogprobs">[],
  options: EngineOptions,
): EngineSetup {
  const { family, config, format } = directory, sizes = family.sizes(config);
  const { dp = 1, tp = 1, pp = 1, ep = 1, numerics = "fast", kernels = "wasm", weights = format ?? "f32" } =
    options;
  if (numerics === "exact" && weights !== "f32") {
    throw new UsageError(
      `Cannot use --weights ${weights} with --numerics exact: products of rounded weights are not cut as several devices ` +
        `cut them; use --weights f32`,
    );
  }
  return {
    ...{ model, sizes, kernels, weights, isExact: numerics === "exact" },
    degrees: new Mesh({ dp, tp, pp, ep }).degrees,
    limits: limitsFor(requests, sizes.context, options),
  };
}

/** Pages for as many of the longest requests as run at a time on a replica. */
function limitsFor(
  requests: readonly Pick<EngineRequest, "prompt" | "numTokens" | "promptLogprobs">[],
  context: number,
  { maxSequences = 32, prefillChunk = 64, dp = 1 }: EngineOptions,
): EngineLimits {
  const count = Math.max(1, Math.min(maxSequences, Math.ceil(requests.length / dp)));
  const longest = requests.map(({ prompt, numTokens }) => Math.min(context, prompt.length + numTokens))
    .sort((a, b) => b - a).slice(0, count);
  const numPages = longest.reduce((sum, tokens) => sum + Math.ceil(tokens / PAGE_TOKENS), 0);
  return {
    ...{ maxSequences: count, maxRows: Math.max(prefillChunk, count), prefillChunk, context },
    ...{ pageTokens: PAGE_TOKENS, numPages: Math.max(1, numPages) },
    scoresPrompts: requests.some(({ promptLogprobs }) => promptLogprobs),
  };
}
