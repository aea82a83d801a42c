/**
 * Checkpoints of a job: what is in the folder, and how it becomes the start of another run.
 *
 * @module
 */
import { checkFinite, type TensorIndex, UsageError } from "../files/mod.ts";
import { gpt, type MixtureConfig, type ModelSpec } from "../nn/mod.ts";
import {
  findCheckpoint,
  openModel,
  openMoments,
  readConfigJson,
  readTrainerState,
} from "./checkpoint_files.ts";
import type { TrainConfig } from "./config.ts";
import { checkTensors, isGpt2Extra, type ModelSizes, stripPrefix } from "./gpt2_files.ts";
import type { JobStart } from "./job.ts";
import { fromGptConfig, gptShapes, type GptSizes, toGptConfig } from "./mixture_files.ts";

/**
 * The model that a configuration describes.
 *
 * @param mixture What has no option: the weight of the load loss, and which experts are dead.
 */
export function gptOf(
  config: ModelSizes & Pick<TrainConfig, "experts" | "topKExperts" | "capacityFactor">,
  { auxLossCoefficient, deadExperts }: Partial<MixtureConfig> = {},
): ModelSpec {
  const { layers, heads, embed, context, vocab, layerNormEpsilon, experts, topKExperts, capacityFactor } =
    config;
  const mixture = experts === 0
    ? {}
    : { experts, topKExperts, capacityFactor, auxLossCoefficient, deadExperts };
  return gpt({ layers, heads, embed, context, vocab, layerNormEpsilon, ...mixture });
}

/** Whether a model is the GPT of this library, which has a Hugging Face form. */
export function isGpt(model: ModelSpec): boolean {
  return model.module === gpt({ layers: 1, heads: 1, embed: 1, context: 1 }).module;
}

/** `config.json` of a model: Hugging Face's of a GPT, otherwise the module that builds it and what it is handed. */
export function configJson(model: ModelSpec): Record<string, unknown> {
  return isGpt(model)
    ? toGptConfig(model.config as GptSizes)
    : { model_type: "tessera", module: model.module, config: model.config };
}

/** The directory of a GPT: sizes, and where its weights lie. */
export interface LoadedGpt {
  /** What `config.json` says. */
  readonly sizes: GptSizes;
  /** Every parameter, by its Hugging Face name. */
  readonly weights: TensorIndex;
}

/**
 * Reads a Hugging Face GPT-2 directory, or that of a GPT of experts.
 *
 * @throws {UsageError} If a file is missing, truncated, or of another shape or kind of model.
 */
export async function loadGpt(folder: string): Promise<LoadedGpt> {
  const sizes = fromGptConfig(await readConfigJson(folder), `${folder}/config.json`);
  const weights = stripPrefix(await openModel(folder, isGpt2Extra));
  checkTensors(weights, gptShapes(sizes), `${folder}/model.safetensors`);
  checkFinite(weights);
  return { sizes, weights };
}

/** What a run goes on from. */
export interface LoadedRun {
  /** The checkpoint: `OUT/step-N`. */
  readonly folder: string;
  /** Undefined for a model of the user's own. */
  readonly sizes: GptSizes | undefined;
  /** Options that its numbers depend on; they are taken over unless others are given. */
  readonly options: Readonly<Record<string, string | number>>;
  /** Step, losses, parameters and moments. */
  readonly start: JobStart;
}

/**
 * Reads a checkpoint, or the newest one of an `--out` folder.
 *
 * @throws {UsageError} If there is none, or a file is missing or damaged.
 */
export async function loadRun(path: string): Promise<LoadedRun> {
  const folder = await findCheckpoint(path), state = await readTrainerState(folder);
  const json = await readConfigJson(folder) as { model_type?: unknown };
  const loaded = json.model_type === "tessera" ? await loadOwn(folder) : await loadGpt(folder);
  const shapes = new Map([...loaded.weights].map(([name, { shape }]) => [name, shape]));
  const { m, v } = await openMoments(folder, shapes);
  for (const moments of [m, v]) checkFinite(moments);
  const { step, losses, lossScale } = state;
  const start = { step, losses, lossScale, weights: loaded.weights, moments: { m, v } };
  return { folder, sizes: "sizes" in loaded ? loaded.sizes : undefined, options: state.options, start };
}

/** Weights of a model that has no Hugging Face form; its own code says what they must be. */
async function loadOwn(folder: string): Promise<{ weights: TensorIndex }> {
  const weights = await openModel(folder);
  checkFinite(weights);
  return { weights };
}

/**
 * Checks that a run can go on with a configuration.
 *
 * @throws {UsageError} If it is finished already.
 */
export function checkResume({ folder, start }: LoadedRun, config: TrainConfig): void {
  if (start.step < config.steps) return;
  throw new UsageError(
    `Cannot resume from ${folder}: it has ${start.step} steps already; use --steps ${start.step + 1} or more`,
  );
}
