/**
 * Directories of models, and checkpoints of jobs: what is in the folder, and how it becomes the start of another run.
 *
 * @module
 */
import { openAdapters, readAdapterConfig, type StoredAdapters } from "../adapters/mod.ts";
import { type BlockFormat, checkFinite, checkTensors, type TensorIndex, UsageError } from "../files/mod.ts";
import { familyOf, familyOfConfig, type ModelFamily, shapesOf } from "../models/mod.ts";
import type { ModelSpec } from "../nn/mod.ts";
import { openMoments, readConfigJson, readTrainerState } from "./checkpoint_files.ts";
import { type Companions, findCompanions } from "./companions.ts";
import { openTokenizer, type Tokenizer } from "../tokenizers/mod.ts";
import type { RunStart } from "./run_start.ts";
import { isGguf, openGgufModel } from "./gguf/mod.ts";
import { checkRun, findModel, isAdapter, openModel } from "./model_directory.ts";
import type { DataIdentity } from "./trainer_state.ts";

/** `model_type` of models that are of no family: their code is named. */
const OWN = "tessera";

/** `config.json` of a model: that of its family, or else the module that builds it and what it is handed. */
export async function configJson(model: ModelSpec): Promise<Record<string, unknown>> {
  const family = await familyOf(model);
  return family?.checkpoint.toConfig(model.config) ??
    { model_type: OWN, module: model.module, config: model.config };
}

/** The directory of a model of some family, before its weights are looked at. */
export interface ModelDirectory {
  /** Where it is: what the path meant. */
  readonly folder: string;
  /** What kind of model. */
  readonly family: ModelFamily;
  /** What `config.json` says, as the family has it. */
  readonly config: unknown;
  /** What else there is. */
  readonly companions: Companions;
  /** Blocks that most weights are stored in; by default single numbers. */
  readonly format?: BlockFormat;
}

/** The directory of a model, and where its weights lie. */
export interface LoadedModel extends ModelDirectory {
  /** Every parameter, by its name. */
  readonly weights: TensorIndex;
}

/**
 * Reads what a directory says of its model; no weights.
 *
 * @param path The directory, or a folder of runs or of versions: see `findModel`.
 * @throws {UsageError} If there is none, or it is of a kind of model that nobody has registered.
 */
export async function openDirectory(path: string): Promise<ModelDirectory> {
  const folder = await findModel(path);
  if (isGguf(folder)) {
    const { config: json, texts, format } = await openGgufModel(folder),
      family = familyOfConfig(json, folder);
    const companions = { from: folder, files: [], config: json, texts };
    return { folder, family, config: family.checkpoint.fromConfig(json, folder), companions, format };
  }
  if (await isAdapter(folder)) {
    throw new UsageError(
      `Cannot use ${folder}: it is an adapter, which is no whole model; give its base model, and this as --adapter, or ` +
        "merge both: merge BASE --adapter DIR --out OUT",
    );
  }
  const json = await readConfigJson(folder), file = `${folder}/config.json`;
  const family = familyOfConfig(json, file), config = family.checkpoint.fromConfig(json, file);
  return { folder, family, config, companions: await findCompanions(folder, json as Companions["config"]) };
}

/**
 * The tokenizer that a directory's files, or its checkpoint, say; undefined if nothing does.
 *
 * @throws {UsageError} If it cannot be used, or has more tokens than the model.
 */
export async function directoryTokenizer(
  { companions, family, config }: Pick<ModelDirectory, "companions" | "family" | "config">,
): Promise<Tokenizer | undefined> {
  return await openTokenizer(companions, family.sizes(config).vocab);
}

/**
 * Says where the weights of a model lie, and looks at all of them.
 *
 * @throws {UsageError} If a file is missing or damaged, tensors are not those of the model, or a number is not finite.
 */
export async function openWeights(
  { folder, family, config }: Omit<ModelDirectory, "companions">,
): Promise<TensorIndex> {
  const { checkpoint } = family;
  const found = isGguf(folder)
    ? (await openGgufModel(folder)).tensors
    : await openModel(folder, checkpoint.isExtra);
  const files = new Set([...found.values()].map(({ path }) => path));
  const path = files.size === 1 ? [...files][0] : folder;
  const weights = checkpoint.adapt?.(found, path, config) ?? found;
  checkTensors(weights, shapesOf(family.layers(config)), path);
  checkFinite(weights);
  return weights;
}

/**
 * Reads the directory of a model.
 *
 * @param path The directory, or a folder of runs or of versions: see `findModel`.
 * @throws {UsageError} If a file is missing, truncated, or of another shape or kind of model.
 */
export async function loadDirectory(path: string): Promise<LoadedModel> {
  const directory = await openDirectory(path);
  return { ...directory, weights: await openWeights(directory) };
}

/** What a run goes on from. */
export interface LoadedRun {
  /** The checkpoint: `OUT/step-N`. */
  readonly folder: string;
  /** Undefined for a model that is of no family. */
  readonly loaded: ModelDirectory | undefined;
  /** Options that its numbers depend on; they are taken over unless others are given. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** Step, losses, parameters and moments. */
  readonly start: RunStart;
  /** What the data were; undefined in checkpoints that do not say. */
  readonly data: DataIdentity | undefined;
  /** Of a run that trains adapters; {@link loaded} is their base model. */
  readonly adapters?: StoredAdapters;
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
  const { loaded, weights, adapters } = await openRun(folder);
  const trained = adapters?.weights ?? trainedOf(weights, state.options);
  const shapes = new Map([...trained].map(([name, { shape }]) => [name, shape]));
  const { m, v } = await openMoments(folder, shapes);
  for (const moments of [m, v]) checkFinite(moments);
  const { step, losses, lossScale, options, data } = state,
    samples = state.samples ?? step * Number(options.batch);
  const start = { step, losses, samples, lossScale, weights, moments: { m, v } };
  return { folder, loaded, options, start, data, adapters };
}

/** The model of a checkpoint and its weights; one of adapters has those of its base model. */
async function openRun(
  folder: string,
): Promise<Pick<LoadedRun, "loaded" | "adapters"> & { weights: TensorIndex }> {
  if (await isAdapter(folder)) {
    const { base } = await readAdapterConfig(folder), { weights, ...loaded } = await loadDirectory(base);
    const adapters = await openAdapters(folder, loaded);
    return { loaded, adapters, weights: new Map([...weights, ...adapters.weights]) };
  }
  const json = await readConfigJson(folder) as { model_type?: unknown } | null;
  const loaded = json?.model_type === OWN ? undefined : await openDirectory(folder);
  return { loaded, weights: await (loaded === undefined ? openOwn(folder) : openWeights(loaded)) };
}

/** Those of the parameters that a run trains. */
function trainedOf(weights: TensorIndex, { train }: LoadedRun["options"]): TensorIndex {
  if (train === undefined) return weights;
  const pattern = new RegExp(String(train));
  return new Map([...weights].filter(([name]) => pattern.test(name)));
}

/** Weights of a model that is of no family; its own code says what they must be. */
async function openOwn(folder: string): Promise<TensorIndex> {
  const weights = await openModel(folder);
  checkFinite(weights);
  return weights;
}

/**
 * Checks that a run can go on with a configuration.
 *
 * @throws {UsageError} If it is finished already.
 */
export function checkResume({ folder, start }: LoadedRun, { steps }: { readonly steps: number }): void {
  if (start.step < steps) return;
  throw new UsageError(
    `Cannot resume from ${folder}: it has ${start.step} steps already; use --steps ${start.step + 1} or more`,
  );
}
