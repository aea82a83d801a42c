/**
 * What a run will hold and move, found before it starts: every rank runs its first step on a device without memory.
 *
 * @module
 */
import { PhantomDevice } from "../../actors/mod.ts";
import type { PlannedOperation } from "../../collectives/mod.ts";
import { openSource, type Source } from "../../data/mod.ts";
import { type ByteTable, sumTable } from "../../kernels/mod.ts";
import { checkSchedule, countParameters, deviceOfStage } from "../../strategies/mod.ts";
import { Replica, StepExchange } from "../step/mod.ts";
import { meshOf, partitionOf, type TrainJob } from "../config/mod.ts";
import { loadModel, type ModelParts } from "../../models/mod.ts";

/** Operations of one kind in one group, over a step. */
export interface Traffic {
  /** Name of the group, which is that of an axis of the mesh in most cases. */
  readonly group: string;
  /** Which operation. */
  readonly operation: PlannedOperation["operation"];
  /** How often. */
  readonly calls: number;
  /** Bytes that the rank reads from or writes to its peers' memories. */
  readonly bytes: number;
}

/** What one rank will hold and move. */
export interface RankPlan {
  /** Number of the rank. */
  readonly rank: number;
  /** Bytes by category. */
  readonly bytes: ByteTable;
  /** Sum over the categories. */
  readonly totalBytes: number;
  /** The smallest device memory that the rank fits in: what it has at its peak, and guards around it. */
  readonly extentBytes: number;
  /** What a step moves, without the exchange of the step's figures that ends it. */
  readonly traffic: readonly Traffic[];
  /** Sum over the traffic: the `bytesMoved` of a step's record. */
  readonly bytesMoved: number;
}

/** The layers of a pipeline stage. */
export interface StagePlan {
  /** Place on the pipeline axis of the devices that hold it. */
  readonly pp: number;
  /** Names, in the order of the forward pass. */
  readonly layers: readonly string[];
  /** Of the whole stage, over all devices that share it. */
  readonly parameters: number;
  /** Milliseconds that its layers took, if they were measured. */
  readonly measuredMs?: number;
}

/** The plan of a run. */
export interface RunPlan {
  /** By rank. */
  readonly ranks: readonly RankPlan[];
  /** The stages of the pipeline, in order; one without a pipeline. */
  readonly stages: readonly StagePlan[];
  /** Part of a step that pipeline stages wait, from 0 to 1, on paper. */
  readonly bubble: number;
}

/** Plans a job; starts nothing. */
export async function planRun(job: TrainJob): Promise<RunPlan> {
  const ranks: RankPlan[] = [];
  for await (const rank of planRanks(job)) ranks.push(rank);
  const stages = planStages(await loadModel(job.model), job);
  return { ranks, stages, bubble: checkSchedule(job.schedule).bubble };
}

/** Which layers stand where. */
export function planStages(parts: ModelParts, { schedule, config, layerTimes }: TrainJob): StagePlan[] {
  const { ranges } = partitionOf(parts, schedule, config.partition, layerTimes);
  const counts = countParameters(parts.layers);
  return ranges.map(({ start, end }, stage) => {
    const sum = (values: readonly number[]) => values.slice(start, end).reduce((a, b) => a + b, 0);
    const measured = layerTimes === undefined ? {} : { measuredMs: sum(layerTimes) };
    const layers = parts.layers.slice(start, end).map(({ name }) => name);
    return { pp: deviceOfStage(schedule, stage), layers, parameters: sum(counts), ...measured };
  });
}

/** Plans one rank after another. */
export async function* planRanks(job: TrainJob): AsyncGenerator<RankPlan> {
  const topology = meshOf(job.config).topology(), source = withoutData(openSource(job.data, job.config));
  for (let rank = 0; rank < topology.worldSize; rank++) {
    yield await planRank(job, new PhantomDevice(topology, rank), source);
  }
}

/** Runs the program of one rank (`train_program.ts`) for a step and an evaluation, on paper. */
async function planRank(job: TrainJob, device: PhantomDevice, source: Source): Promise<RankPlan> {
  const blank = { ...job, start: { step: 0, losses: [] } };
  const replica = await Replica.build(device, blank, source), exchange = new StepExchange(device);
  device.operations.length = 0;
  const lossSum = await replica.accumulate(0, 1);
  replica.reduce();
  replica.gradientNorm();
  await replica.update(1, 0, 1);
  const traffic = sumTraffic(device.operations);
  exchange.finish(lossSum);
  if (source.numEvaluation > 0 && job.config.evalEvery > 0) exchange.finish(await replica.evaluate());
  const bytes = device.heap.usedBytes(), { extentBytes } = device.heap;
  const bytesMoved = traffic.reduce((sum, row) => sum + row.bytes, 0);
  return { rank: device.rank, bytes, totalBytes: sumTable(bytes), extentBytes, traffic, bytesMoved };
}

/** One row for each operation of each group. */
function sumTraffic(operations: readonly PlannedOperation[]): Traffic[] {
  const rows = new Map<string, Traffic>();
  for (const { group, operation, bytes } of operations) {
    const key = `${group} ${operation}`, known = rows.get(key);
    rows.set(key, { group, operation, calls: (known?.calls ?? 0) + 1, bytes: (known?.bytes ?? 0) + bytes });
  }
  return [...rows.values()].filter(({ bytes }) => bytes > 0);
}

/** A source of the same shapes that reads nothing, and has one round of samples to evaluate, if any. */
function withoutData(source: Source): Source {
  const { inputDType, inputShape, targetShape, hasDocuments, numEvaluation } = source;
  return {
    ...{ inputDType, inputShape, targetShape, hasDocuments, numEvaluation: Math.min(1, numEvaluation) },
    countTargets: () => 1,
    countEvaluationTargets: () => 1,
    readTraining: () => {},
    readEvaluation: () => {},
    [Symbol.dispose]: () => {},
  };
}
