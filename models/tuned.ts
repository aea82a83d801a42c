/**
 * Models of which some parameters are frozen, and some layers have adapters.
 *
 * @module
 */
import { phantomHeap } from "../kernels/mod.ts";
import { type LayerFactory, type LinearSite, Scope, type Tuning, type TuningSpec } from "../nn/mod.ts";
import { type LayerSplit, type ParallelPlan, splitOf } from "../strategies/mod.ts";

/** Parameters of an adapter, after the name of its layer. */
const ADAPTER = /\.lora_[AB]\.weight$/;

/** The name of the layer that a parameter is the adapter of; undefined if it is none. */
export function adaptedLayer(parameter: string): string | undefined {
  return ADAPTER.test(parameter) ? parameter.replace(ADAPTER, "") : undefined;
}

/** What a spec says, as layers ask for it. */
export function tuningOf({ trained, adapters = {} }: TuningSpec): Tuning {
  const pattern = trained === undefined ? undefined : new RegExp(trained);
  const isAll = trained === undefined && Object.keys(adapters).length === 0;
  return {
    isTrained: (name) => isAll || adaptedLayer(name) !== undefined || (pattern?.test(name) ?? false),
    adapterOf: ({ path }) => Object.hasOwn(adapters, path) ? adapters[path] : undefined,
  };
}

/** The linear layers of a model, which may have adapters, in order. */
export function linearLayers(layers: readonly LayerFactory[]): LinearSite[] {
  const sites: LinearSite[] = [];
  const tuning: Tuning = { isTrained: () => true, adapterOf: (layer) => void sites.push(layer) };
  const scope = Scope.of({ heap: phantomHeap(), seed: undefined }).tuned(tuning);
  for (const layer of layers) layer.build(scope);
  return sites;
}

/** The layers with this tuning. */
export function tunedLayers(layers: readonly LayerFactory[], tuning: TuningSpec): LayerFactory[] {
  const own = tuningOf(tuning);
  return layers.map((layer) => ({ ...layer, build: (scope: Scope) => layer.build(scope.tuned(own)) }));
}

/**
 * The plan with the adapters of layers that it splits: a layer whose outputs are split has an adapter whose second weight
 * is, one whose inputs are split one whose first weight is. The other weight is whole on every device.
 */
export function tunedPlan(plan: ParallelPlan, { adapters = {} }: TuningSpec): ParallelPlan {
  const entries = Object.keys(adapters).flatMap((path) => {
    const split = splitOf(plan, path);
    return split === undefined ? [] : adapterSplit(path, split);
  });
  return { ...Object.fromEntries(entries), ...plan };
}

function adapterSplit(path: string, split: LayerSplit): [string, LayerSplit][] {
  switch (split.kind) {
    case "column":
      return [[`${path}.lora_B`, { ...split, outputsFirst: true }]];
    case "head":
      return [[`${path}.lora_B`, { kind: "column", outputsFirst: true }]];
    case "row":
      return [[`${path}.lora_A`, { ...split, outputsFirst: true }]];
    default:
      return [];
  }
}
