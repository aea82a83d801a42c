/**
 * Models with weights, or heads, left out.
 *
 * Sources: Han et al., Learning both Weights and Connections, NeurIPS 2015 (by magnitude); Mishra et al., Accelerating Sparse
 * Deep Neural Networks, 2021 (2:4); Michel et al., Are Sixteen Heads Really Better than One?, NeurIPS 2019 (heads).
 *
 * @module
 */
import { loadDirectory, mergeConfig } from "../checkpoint/mod.ts";
import { readTensor, UsageError } from "../files/mod.ts";
import { phantomHeap } from "../kernels/mod.ts";
import { type ModelFamily, shapesOf } from "../models/mod.ts";
import { Scope } from "../nn/mod.ts";
import { writeModelFolder } from "./model_folder.ts";
import { type HeadConfig, HeadPruning } from "./prune_heads.ts";

/** What is left out. */
export type Sparsity =
  | { readonly kind: "share"; readonly share: number }
  | { readonly kind: "2:4" }
  | { readonly kind: "heads"; readonly heads: number };

/** What was pruned. */
export interface PrunedModel {
  /** Elements of the model, zeros included. */
  readonly parameters: number;
  /** Elements of the model that it was made from. */
  readonly before: number;
  /** Weights of layers that are zero. */
  readonly zeros: number;
}

/**
 * Reads a sparsity: `0.5`, `2:4` or `heads:4`.
 *
 * @throws {UsageError} If it is none of these.
 */
export function parseSparsity(text: string): Sparsity {
  if (text === "2:4") return { kind: "2:4" };
  const heads = /^heads:([1-9]\d*)$/.exec(text)?.[1], share = Number(text);
  if (heads !== undefined) return { kind: "heads", heads: Number(heads) };
  if (/^0?\.\d+$/.test(text) && share > 0 && share < 1) return { kind: "share", share };
  throw new UsageError(
    `Cannot use --sparsity ${text}: give a share of the weights between 0 and 1 such as 0.5, 2:4, or heads:N`,
  );
}

/**
 * Writes a model of which some is left out, the smallest first: a share of each weight of a layer, two of every four
 * neighbouring inputs, or so many heads of each layer, which makes it smaller and faster. Zeros take as many bytes and as
 * much time as other numbers.
 *
 * Cost: memory for two tensors at a time; of a share, a sort of each.
 *
 * @throws {UsageError} If the directory cannot be used, the place is taken, or the model has no heads that can be left out.
 */
export async function pruneModel(folder: string, out: string, sparsity: Sparsity): Promise<PrunedModel> {
  const model = await loadDirectory(folder), { family, companions } = model;
  const pruning = sparsity.kind === "heads" ? headsOf(model.config, sparsity.heads, folder) : undefined;
  const config = pruning?.config ?? model.config, shapes = shapesOf(family.layers(config));
  const layers = layerWeights(family, model.config);
  let zeros = 0;
  const read = (name: string) => readTensor(model.weights.get(name)!);
  if (pruning !== undefined) pruning.choose(read);
  const valuesOf = (name: string) => {
    const shape = model.weights.get(name)!.shape, inputsDim = layers.get(name);
    if (pruning !== undefined) return pruning.keep(name, shape, read(name));
    const values = read(name);
    if (inputsDim === undefined) return values;
    if (sparsity.kind === "share") zeroShare(values, sparsity.share);
    else zeroHalf(values, shape, inputsDim);
    zeros += values.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
    return values;
  };
  const json = mergeConfig(companions, family.checkpoint.toConfig(config));
  await writeModelFolder(out, "pruned model", { json, companions, shapes, valuesOf });
  const count = (all: ReadonlyMap<string, readonly number[]>) =>
    [...all.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { parameters: count(shapes), before: count(shapesOf(family.layers(model.config))), zeros };
}

/** Weights of layers by name, with the dim that counts their inputs: not tables, heads of vocabularies, norms and biases. */
function layerWeights(family: ModelFamily, config: unknown): Map<string, number> {
  const scope = Scope.of({ heap: phantomHeap(), seed: undefined });
  for (const layer of family.layers(config)) layer.build(scope);
  return new Map(
    scope.parameters.flatMap(({ name, use }) => use?.of === "layer" ? [[name, use.inputsDim]] : []),
  );
}

/** The smallest become zero; of equal ones the first. */
function zeroShare(values: Float32Array, share: number): void {
  const sorted = values.map(Math.abs).sort(), count = Math.floor(share * values.length);
  if (count === 0) return;
  const largest = sorted[count - 1];
  let left = count - sorted.findIndex((value) => value === largest);
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size < largest || (size === largest && left-- > 0)) values[i] = 0;
  }
}

/** The two smallest of four neighbouring inputs become zero; of equal ones the later. */
function zeroHalf(values: Float32Array, [rows, columns]: readonly number[], inputsDim: number): void {
  const [inputs, outputs] = inputsDim === 1 ? [columns, rows] : [rows, columns];
  const [step, stride] = inputsDim === 1 ? [1, columns] : [columns, 1];
  for (let output = 0; output < outputs; output++) {
    for (let first = 0; first + 4 <= inputs; first += 4) {
      const places = [0, 1, 2, 3].map((i) => output * stride + (first + i) * step);
      places.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
      for (const place of places.slice(2)) values[place] = 0;
    }
  }
}

function headsOf(config: unknown, heads: number, folder: string): HeadPruning {
  const known = config as Partial<HeadConfig>;
  if (known.headDim === undefined || known.kvHeads === undefined) {
    throw new UsageError(
      `Cannot leave heads out of ${folder}: its heads share the width of the model; give a share or 2:4`,
    );
  }
  return new HeadPruning(known as HeadConfig, heads);
}
