/**
 * The two files of an adapter: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */
import {
  checkFinite,
  checkTensors,
  openSafetensors,
  readJson,
  type TensorIndex,
  UsageError,
} from "../files/mod.ts";
import { linearLayers, loadModel, type ModelFamily, modelOf, shapesOf } from "../models/mod.ts";
import type { AdapterSize, LayerFactory, ModelSpec, Shape } from "../nn/mod.ts";
import { adapterSize, type LoraConfig, peftConfig, readPeftConfig } from "./peft_config.ts";
import { targetLayers } from "./target_layers.ts";

/** Names of the two files. */
export const ADAPTER_FILES = { config: "adapter_config.json", weights: "adapter_model.safetensors" } as const;

/** What the classes of PEFT put in front of the names of the model. */
const PREFIX = "base_model.model.";

/** Adapters of the layers of a model. */
export interface ModelAdapters {
  /** How they are made. */
  readonly config: LoraConfig;
  /** By the full names of layers. */
  readonly sizes: Readonly<Record<string, AdapterSize>>;
  /** Shapes of their parameters, in the order of the model. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Names of their parameters in files of PEFT's. */
  readonly names: ReadonlyMap<string, string>;
  /** `adapter_config.json`. */
  readonly json: Record<string, unknown>;
}

/** Adapters whose values lie in a file. */
export interface StoredAdapters extends ModelAdapters {
  /** By names of parameters. */
  readonly weights: TensorIndex;
}

/** A model of a family, before its weights are looked at. */
export interface AdaptedModel {
  /** What kind of model. */
  readonly family: ModelFamily;
  /** Its sizes. */
  readonly config: unknown;
}

/**
 * New adapters of a model.
 *
 * @throws {UsageError} If a target is no linear layer of the model.
 */
export async function makeAdapters(
  model: AdaptedModel,
  { targets, ...config }: Omit<LoraConfig, "targets"> & { readonly targets?: readonly string[] },
): Promise<ModelAdapters> {
  const layers = model.family.layers(model.config), sites = targetLayers(layers, targets);
  const found = targets ?? [...new Set(sites.map(({ path }) => path.slice(path.lastIndexOf(".") + 1)))];
  return await adaptersOf(model, { ...config, targets: found }, sites.map(({ path }) => path));
}

/**
 * The adapters in a directory, whose values are looked at.
 *
 * @throws {UsageError} If a file is missing or damaged, asks for what is not computed, or is of another model.
 */
export async function openAdapters(folder: string, model: AdaptedModel): Promise<StoredAdapters> {
  const config = await readAdapterConfig(folder), path = `${folder}/${ADAPTER_FILES.weights}`;
  const stored = await openSafetensors(path), byModule = modulePaths(model);
  const weights: TensorIndex = new Map([...stored].map(([name, tensor]) => {
    const match = /^base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight$/.exec(name);
    if (match === null) {
      throw new UsageError(`Cannot use ${path}: tensor ${name} is no weight of a LoRA of linear layers`);
    }
    const layer = byModule.get(match[1]);
    if (layer === undefined) {
      throw new UsageError(
        `Cannot use the adapter ${folder} with this model: it has no linear layer ${
          match[1]
        }; give the model that ` +
          `the adapter was trained on`,
      );
    }
    return [`${layer}.lora_${match[2]}.weight`, tensor];
  }));
  const paths = [...new Set([...weights.keys()].map((name) => name.replace(/\.lora_[AB]\.weight$/, "")))];
  const order = [...byModule.values()].filter((layer) => paths.includes(layer));
  const adapters = await adaptersOf(model, config, order);
  checkTensors(weights, adapters.shapes, path);
  checkFinite(weights);
  return { ...adapters, weights };
}

/** Reads `adapter_config.json` of a directory. */
export async function readAdapterConfig(folder: string): Promise<LoraConfig> {
  const path = `${folder}/${ADAPTER_FILES.config}`;
  return readPeftConfig(await readJson(path), path);
}

async function adaptersOf(
  { family, config: known }: AdaptedModel,
  config: LoraConfig,
  paths: readonly string[],
): Promise<ModelAdapters> {
  const nameOf = moduleNames(family), sites = targetLayers(family.layers(known), paths);
  const sizes = Object.fromEntries(paths.map((path) => [path, adapterSize(config, nameOf(path))]));
  const spec: ModelSpec = { ...modelOf(family, known), tuning: { adapters: sizes } };
  const shapes = adapterShapes((await loadModel(spec)).layers, paths);
  const names = new Map([...shapes.keys()].map((name) => [name, PREFIX + nameOf(name)]));
  const json = peftConfig(config, sites.some(({ outputsFirst }) => !outputsFirst));
  return { config, sizes, shapes, names, json };
}

function adapterShapes(layers: readonly LayerFactory[], paths: readonly string[]): Map<string, Shape> {
  const wanted = new Set(paths.flatMap((path) => ["A", "B"].map((side) => `${path}.lora_${side}.weight`)));
  return new Map([...shapesOf(layers)].filter(([name]) => wanted.has(name)));
}

/** Names of modules in Hugging Face's classes, from full names here. */
function moduleNames({ checkpoint }: ModelFamily): (name: string) => string {
  return (name) => checkpoint.moduleName?.(name) ?? name;
}

/** Full names of linear layers here, by those of modules. */
function modulePaths({ family, config }: AdaptedModel): Map<string, string> {
  const nameOf = moduleNames(family);
  return new Map(linearLayers(family.layers(config)).map(({ path }) => [nameOf(path), path]));
}
