import { openAdapters, type StoredAdapters } from "../adapters/mod.ts";
import { loadDirectory, type LoadedModel, mergeConfig } from "../checkpoint/mod.ts";
import { readTensor, type TensorIndex } from "../files/mod.ts";
import { linearLayers, shapesOf } from "../models/mod.ts";
import { numElements } from "../kernels/mod.ts";
import type { AdapterSize, LinearSite } from "../nn/mod.ts";
import { writeModelFolder } from "./model_folder.ts";

/** What was merged. */
export interface MergedModel {
  /** Layers whose weights have changed. */
  readonly layers: number;
  /** Elements of the model. */
  readonly parameters: number;
}

/** Where everything lies. */
export interface MergeFolders {
  /** The model that the adapter was trained on. */
  readonly base: string;
  /** The adapter. */
  readonly adapter: string;
  /** The merged model: made, must not be there. */
  readonly out: string;
  /** Bytes of weights that a file has at most; all are in one without it. */
  readonly shardBytes?: number;
}

/**
 * Writes the model of a directory with an adapter in its weights, `W + scale B A`, computed in float64 and rounded once,
 * and everything that goes with the model. The base stays as it is.
 *
 * A head that was the table of tokens and has an adapter becomes a head of its own: the table must not change.
 *
 * Cost: memory for two tensors at a time.
 *
 * @throws {UsageError} If a directory cannot be used, the adapter is of another model, or the place is taken.
 */
export async function mergeAdapter({ base, adapter, out, shardBytes }: MergeFolders): Promise<MergedModel> {
  const model = await loadDirectory(base), adapters = await openAdapters(adapter, model);
  const untied = untiedHead(model, adapters), config = untied?.config ?? model.config;
  const { family, companions } = model, shapes = shapesOf(family.layers(config));
  const json = mergeConfig(companions, family.checkpoint.toConfig(config));
  const sites = mergedSites(model, adapters, untied?.head);
  const valuesOf = (name: string) => {
    const source = name === untied?.head.name ? untied.head.table : name, site = sites.get(name);
    const values = readTensor(model.weights.get(source)!);
    if (site !== undefined) addProduct(values, site, adapters);
    return values;
  };
  await writeModelFolder(out, "merged model", { json, companions, shapes, valuesOf, shardBytes });
  const parameters = [...shapes.values()].reduce((sum, shape) => sum + numElements(shape), 0);
  return { layers: sites.size, parameters };
}

/** A head that must not be the table any more. */
interface UntiedHead {
  readonly config: unknown;
  readonly head: { readonly name: string; readonly table: string };
}

function untiedHead(
  { family, config }: LoadedModel,
  adapters: StoredAdapters,
): UntiedHead | undefined {
  const site = linearLayers(family.layers(config)).find(({ path, weight }) => {
    return path in adapters.sizes && weight !== `${path}.weight`;
  });
  if (site === undefined) return undefined;
  const own = { ...config as Record<string, unknown>, tied: false };
  return { config: own, head: { name: `${site.path}.weight`, table: site.weight } };
}

/** The layers with adapters, by the names of their weights in the merged model. */
function mergedSites(
  { family, config }: LoadedModel,
  { sizes }: StoredAdapters,
  head: UntiedHead["head"] | undefined,
): Map<string, LinearSite> {
  const sites = linearLayers(family.layers(config)).filter(({ path }) => path in sizes);
  return new Map(sites.map((site) => [site.weight === head?.table ? head.name : site.weight, site]));
}

function addProduct(values: Float32Array, site: LinearSite, { sizes, weights }: StoredAdapters): void {
  const { path, inputs, outputs, outputsFirst } = site, { rank, scale }: AdapterSize = sizes[path];
  const [a, b] = ["A", "B"].map((side) => read(weights, `${path}.lora_${side}.weight`));
  const row = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b[o * rank + r];
      for (let i = 0; i < inputs; i++) row[i] += factor * a[r * inputs + i];
    }
    for (let i = 0; i < inputs; i++) values[outputsFirst ? o * inputs + i : i * outputs + o] += row[i];
  }
}

function read(weights: TensorIndex, name: string): Float32Array {
  return readTensor(weights.get(name)!);
}
