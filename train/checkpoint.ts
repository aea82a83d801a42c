/**
 * Checkpoints of a job: what is in the folder, and how it becomes the start of another run.
 *
 * @module
 */
import { checkFinite, type TensorIndex, UsageError } from "../files/mod.ts";
import { gpt, type MixtureConfig, type ModelSpec } from "../nn/mod.ts";
import { openMoments, readConfigJson, readTrainerState } from "./checkpoint_files.ts";
import { type Companions, findCompanions } from "./companions.ts";
import type { TrainConfig } from "./config.ts";
import { checkTensors, type ModelSizes } from "./gpt2_files.ts";
import { isGpt2Extra, stripPrefixes, tieHead } from "./gpt2_names.ts";
import type { JobStart } from "./job.ts";
import { fromGptConfig, gptShapes, type GptSizes, toGptConfig } from "./mixture_files.ts";
import { checkRun, findModel, openModel } from "./model_directory.ts";
import type { DataIdentity } from "./trainer_state.ts";

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

/** The directory of a GPT, before its weights are looked at. */
export interface GptDirectory {
  /** Where it is: what the path meant. */
  readonly folder: string;
  /** What `config.json` says. */
  readonly sizes: GptSizes;
  /** What else there is. */
  readonly companions: Companions;
}

/** The directory of a GPT: sizes, and where its weights lie. */
export interface LoadedGpt extends GptDirectory {
  /** Every parameter, by its Hugging Face name. */
  readonly weights: TensorIndex;
}

/**
 * Reads what a Hugging Face GPT-2 directory, or that of a GPT of experts, says of its model; no weights.
 *
 * @param path The directory, or a folder of runs or of versions: see `findModel`.
 * @throws {UsageError} If there is none, or it is of another kind of model.
 */
export async function openGpt(path: string): Promise<GptDirectory> {
  const folder = await findModel(path), config = await readConfigJson(folder);
  const sizes = fromGptConfig(config, `${folder}/config.json`);
  return { folder, sizes, companions: await findCompanions(folder, config as Companions["config"]) };
}

/**
 * Says where the weights of a GPT lie, and looks at all of them.
 *
 * @throws {UsageError} If a file is missing or damaged, tensors are not those of the model, or a number is not finite.
 */
export async function openWeights(
  { folder, sizes }: Pick<GptDirectory, "folder" | "sizes">,
): Promise<TensorIndex> {
  const found = await openModel(folder, isGpt2Extra);
  const files = new Set([...found.values()].map(({ path }) => path));
  const path = files.size === 1 ? [...files][0] : folder;
  const weights = tieHead(stripPrefixes(found, path), path);
  checkTensors(weights, gptShapes(sizes), path);
  checkFinite(weights);
  return weights;
}

/**
 * Reads a Hugging Face GPT-2 directory, or that of a GPT of experts.
 *
 * @param path The directory, or a folder of runs or of versions: see `findModel`.
 * @throws {UsageError} If a file is missing, truncated, or of another shape or kind of model.
 */
export async function loadGpt(path: string): Promise<LoadedGpt> {
  const directory = await openGpt(path);
  return { ...directory, weights: await openWeights(directory) };
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
  /** What goes with the model; undefined for a model of the user's own. */
  readonly companions: Companions | undefined;
  /** What the data were; undefined in checkpoints that do not say. */
  readonly data: DataIdentity | undefined;
}

/**
 * Reads a checkpoint, or the newest one of an `--out` folder.
 *
 * @throws {UsageError} If there is none, or a file is missing or damaged.
 */
export async function loadRun(path: string): Promise<LoadedRun> {
  const folder = await findModel(path, "resume from");
  await checkRun(folder);
  const state = await readTrainerState(folder);
  const json = await readConfigJson(folder) as { model_type?: unknown } | null;
  const loaded = json?.model_type === "tessera" ? await loadOwn(folder) : await loadGpt(folder);
  const shapes = new Map([...loaded.weights].map(([name, { shape }]) => [name, shape]));
  const { m, v } = await openMoments(folder, shapes);
  for (const moments of [m, v]) checkFinite(moments);
  const { step, losses, lossScale, options, data } = state,
    samples = state.samples ?? step * Number(options.batch);
  const start = { step, losses, samples, lossScale, weights: loaded.weights, moments: { m, v } };
  const { sizes, companions }: Partial<GptDirectory> = loaded;
  return { folder, sizes, options, start, companions, data };
}

/** Weights of a model that has no Hugging Face form; its own code says what they must be. */
async function loadOwn(folder: string): Promise<Partial<GptDirectory> & { weights: TensorIndex }> {
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
