import type { Group } from "../../collectives/mod.ts";
import type { Source } from "../../data/mod.ts";
import type { Backend, onnx } from "../../kernels/mod.ts";
import type { Parameter, ScopeOptions } from "../../nn/mod.ts";
import {
  ContextParallel,
  contextPositions,
  ExpertParallel,
  ParameterStore,
  PartialGradients,
  type Pipeline,
  TensorParallel,
  ZERO_STAGES,
} from "../../strategies/mod.ts";
import { partitionOf, type TrainConfig } from "../config/mod.ts";
import type { ModelParts } from "../../models/mod.ts";
import { GraphStage } from "./graph_stage.ts";
import { Stage, type TrainStage } from "./stage.ts";

/** What a rank builds its part of a model from. */
export interface StageParts {
  /** Computes on the device's memory. */
  readonly backend: Backend;
  /** What to train, and how it is spread. */
  readonly config: TrainConfig;
  /** Of the initial values; undefined for those that are loaded. */
  readonly seed: ScopeOptions["seed"];
  /** The model. */
  readonly parts: ModelParts;
  /** Says the shapes of samples. */
  readonly source: Source;
  /** Says which stages this rank has. */
  readonly pipeline: Pipeline;
  /** Groups of this rank by name. */
  readonly groupOf: (name: string) => Group;
  /** Where the rank computes, if not in its memory: `runtime` is undefined while a run is planned. */
  readonly graphs?: { readonly runtime: onnx.OnnxRuntime | undefined };
}

/**
 * Builds the stages of a rank, every strategy in its place: tensor and expert parallelism decide what a layer holds and
 * exchange around it, ZeRO where parameters and gradients lie, the pipeline which layers there are.
 */
export function buildStages(
  { backend, config, seed, parts, source, pipeline, groupOf, graphs }: StageParts,
): Map<number, TrainStage> {
  const { layers } = parts, tp = groupOf("tp"), ep = groupOf("ep"), sequenceParallel = config.sp;
  const exact = config.numerics === "exact", { precision } = config;
  // In exact numerics one device cuts its sums as several do.
  const tensor = tp.size === 1 && !exact
    ? undefined
    : new TensorParallel(tp, parts.plan, { sequenceParallel, exact });
  const experts = ep.size === 1 ? tensor : new ExpertParallel(ep, config.experts, tensor), cp = groupOf("cp");
  const sharding = cp.size === 1 ? experts : new ContextParallel(cp, experts, { exact });
  const completeWith = tensor && ((own: readonly Parameter[]) => {
    return new PartialGradients(tensor.group, backend, tensor.partialParameters(own));
  });
  const stored = {
    group: groupOf("data"),
    expertGroup: groupOf("expertData"),
    zero: ZERO_STAGES[config.zero],
    exact: exact ? { microBatches: pipeline.schedule.m } : undefined,
    precision,
    backend,
    sharding,
    completeWith,
    seed,
    allLayers: layers,
  };
  const deferWeights = pipeline.schedule.devices.flat().some(({ kind }) => kind === "W");
  const tokens = cp.size === 1
    ? {}
    : { positions: contextPositions(config.context, cp.size, cp.index), unitsPerRow: 8 / cp.size };
  const shared = {
    backend,
    parts,
    source,
    tensor,
    sharding,
    deferWeights,
    recompute: config.recompute,
    placement: { precision, ...tokens },
    exactRanks: exact ? cp.size : undefined,
  };
  const { ranges } = partitionOf(parts, pipeline.schedule, config.partition);
  return new Map(pipeline.stages.map((stage): [number, TrainStage] => {
    const range = ranges[stage], ownLayers = layers.slice(range.start, range.end);
    const store = new ParameterStore({ ...stored, ownLayers });
    if (graphs === undefined) return [stage, new Stage({ ...shared, range, store })];
    return [stage, new GraphStage({ ...graphs, parts, source, range, store, heap: backend.heap })];
  }));
}
