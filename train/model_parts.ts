import type { Source } from "../data/mod.ts";
import { createBackend, phantomHeap } from "../kernels/mod.ts";
import {
  type BuildModel,
  crossEntropy,
  type GptConfig,
  type LayerFactory,
  type Loss,
  type ModelLayers,
  type ModelSpec,
  Scope,
  type Shape,
  type Sharding,
  Tape,
  type Tensor,
} from "../nn/mod.ts";
import { gptPlan, type ParallelPlan } from "../strategies/mod.ts";
import { isGpt } from "./checkpoint.ts";

/** A model as a job sees it: layers in a row, and the loss of what the last one returns. */
export interface ModelParts {
  /** A model that is not made of layers is one layer. */
  readonly layers: readonly LayerFactory[];
  /** How tensor parallelism splits its layers; nothing, unless the model says so. */
  readonly plan: ParallelPlan;
  /** Records the loss of what the last layer returned. */
  lossOf(tape: Tape, output: Tensor): Loss;
  /** Says which targets the passes that are recorded next have. */
  setTargets(targets: Tensor): void;
}

/** What a model module exports. */
export interface ModelModule {
  /** Builds the whole model. */
  readonly default: BuildModel;
  /** Its layers, if it can be cut into pipeline stages. */
  readonly layers?: ModelLayers;
  /** Says how tensor parallelism splits the layers. */
  readonly plan?: (config: unknown) => ParallelPlan;
}

/** Loads the module of a model; every device does. */
export async function loadModel(model: ModelSpec): Promise<ModelParts> {
  const module = await import(model.module) as ModelModule;
  const plan = module.plan?.(model.config) ?? (isGpt(model) ? gptPlan(model.config as GptConfig) : {});
  const parts = module.layers === undefined
    ? wholeModel(module.default, model.config)
    : layeredModel(module.layers(model.config));
  return { ...parts, plan };
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
function wholeModel(build: BuildModel, config: unknown): Omit<ModelParts, "plan"> {
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
  return { layers: [layer], lossOf: () => loss!, setTargets: (targets) => current = targets };
}

/** Shapes of all parameters by name, in order of creation. */
export function parameterShapes({ layers }: ModelParts): Map<string, Shape> {
  const scope = Scope.of({ heap: phantomHeap(), seed: 0 });
  for (const layer of layers) layer.build(scope);
  return new Map(scope.parameters.map(({ name, globalShape }) => [name, globalShape]));
}

/**
 * Shapes of what each layer returns for `size` samples, found by recording the model without memory.
 *
 * @param sharding Changes shapes inside layers and, under sequence parallelism, between them.
 */
export function traceShapes(
  parts: ModelParts,
  source: Source,
  size: number,
  sharding: Sharding | undefined,
): Shape[] {
  const heap = phantomHeap(), scope = Scope.of({ heap, seed: 0, sharding });
  const tape = new Tape({ backend: createBackend("reference", heap), training: false });
  parts.setTargets(tape.input("targets", [size, ...source.targetShape], "i32"));
  let x = tape.input("inputs", [size, ...source.inputShape], source.inputDType);
  return parts.layers.map((layer) => {
    x = layer.build(scope).forward(tape, x);
    return x.shape;
  });
}
