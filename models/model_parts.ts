import { phantomHeap } from "../kernels/mod.ts";
import {
  type BuildModel,
  crossEntropy,
  type LayerFactory,
  type Loss,
  type ModelSpec,
  Scope,
  type Shape,
  type Tape,
  type Tensor,
} from "../nn/mod.ts";
import type { ParallelPlan } from "../strategies/mod.ts";
import type { LayeredModel, ModelFamily } from "./family.ts";
import { tunedLayers, tunedPlan } from "./tuned.ts";

/** A model as a job sees it: layers in a row, and the loss of what the last one returns. */
export interface ModelParts {
  /** A model that is not made of layers is one layer. */
  readonly layers: readonly LayerFactory[];
  /** How tensor parallelism splits its layers; nothing, unless the family says so. */
  readonly plan: ParallelPlan;
  /** Records the loss of what the last layer returned. */
  lossOf(tape: Tape, output: Tensor): Loss;
  /** Says which targets the passes that are recorded next have. */
  setTargets(targets: Tensor): void;
}

/**
 * Loads the module of a model; every device does.
 *
 * @throws {TypeError} If the module exports no model.
 */
export async function loadModel(model: ModelSpec): Promise<ModelParts> {
  const exported = await exportOf(model), { config, tuning = {} } = model;
  if (typeof exported === "function") {
    const { layers, ...whole } = wholeModel(exported, config);
    return { ...whole, layers: tunedLayers(layers, tuning) };
  }
  const parts = layeredModel(tunedLayers(exported.layers(config), tuning));
  return { ...parts, plan: tunedPlan(exported.plan?.(config) ?? {}, tuning) };
}

/** The family of a model; undefined for one of none, of which there is only the code. */
export async function familyOf(model: ModelSpec): Promise<ModelFamily | undefined> {
  const exported = await exportOf(model);
  return "modelType" in exported ? exported : undefined;
}

/** What a module of a model exports by default. */
type ModelExport = BuildModel | LayeredModel | ModelFamily;

async function exportOf({ module }: ModelSpec): Promise<ModelExport> {
  const { default: exported, ...named } = await import(module) as { default?: ModelExport };
  if (typeof exported === "function" && ("plan" in named || "layers" in named)) {
    throw new TypeError(
      `Cannot use the model ${module}: layers and plan count in the default export only; write ` +
        `export default { layers, plan }`,
    );
  }
  if (typeof exported === "function" || exported?.layers !== undefined) return exported;
  throw new TypeError(
    `Cannot use the model ${module}: its default export must be a function that builds a model, or have its layers`,
  );
}

function layeredModel(layers: readonly LayerFactory[]): Omit<ModelParts, "plan"> {
  let current: Tensor | undefined;
  return {
    layers,
    lossOf: (tape, output) => crossEntropy(tape, output, current!),
    setTargets: (targets) => current = targets,
  };
}

/** A model that computes its loss itself: one layer whose result is that of the loss. */
function wholeModel(build: BuildModel, config: unknown): ModelParts {
  let current: Tensor | undefined, loss: Loss | undefined;
  const layer: LayerFactory = {
    name: "model",
    type: "model",
    build: (scope) => {
      const model = build(scope, config);
      return {
        forward: (tape, inputs) => {
          loss = model.loss(tape, inputs, current!);
          return loss.rows;
        },
      };
    },
  };
  return { layers: [layer], plan: {}, lossOf: () => loss!, setTargets: (targets) => current = targets };
}

/** Shapes of all parameters by name, in order of creation. */
export function shapesOf(layers: readonly LayerFactory[]): Map<string, Shape> {
  const scope = Scope.of({ heap: phantomHeap(), seed: 0 });
  for (const layer of layers) layer.build(scope);
  return new Map(scope.parameters.map(({ name, globalShape }) => [name, globalShape]));
}
