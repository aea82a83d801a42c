import type { DeviceView } from "../actors/mod.ts";
import { configJson } from "./checkpoint.ts";
import {
  beginCheckpoint,
  type CheckpointTensors,
  completeCheckpoint,
  discardCheckpoint,
  tensorsToWrite,
} from "./checkpoint_files.ts";
import { mergeConfig } from "./companions.ts";
import { recipeOf } from "./config.ts";
import type { TrainJob } from "./job.ts";
import type { LossScaleState } from "./loss_scale.ts";

/** Who has values that belong in a checkpoint. */
export interface TensorHolder {
  /** Writes the parts of tensors that this rank answers for. */
  writeTensors(to: CheckpointTensors): Promise<void>;
}

/** What a run has reached. */
export interface Progress {
  /** Finished steps. */
  readonly step: number;
  /** Losses of all finished steps. */
  readonly losses: readonly number[];
  /** Samples of all finished steps. */
  readonly samples: number;
  /** Where a dynamic loss scale stands. */
  readonly lossScale?: LossScaleState;
}

/**
 * Writes `out/step-N` in one move, all ranks together: the first makes the files, every rank writes what it answers for to
 * its place in them, and the first moves the whole to its place. No rank holds more than it trains.
 *
 * @returns The folder, on the first rank.
 */
export async function saveCheckpoint(
  device: DeviceView,
  replica: TensorHolder,
  { model, config, shapes, companions, identity }: TrainJob,
  progress: Progress,
): Promise<string | undefined> {
  const isFirst = device.rank === 0, out = config.out!, { step } = progress;
  const waitForAll = () => device.group("world").barrier({ label: "checkpoint" });
  try {
    const state = { ...progress, options: recipeOf(config), data: identity };
    const json = configJson(model), merged = companions === undefined ? json : mergeConfig(companions, json);
    if (isFirst) await beginCheckpoint(out, { config: merged, shapes: shapes!, state, companions });
    waitForAll();
    await replica.writeTensors(tensorsToWrite(out, step, shapes!));
    waitForAll();
    return isFirst ? await completeCheckpoint(out, step) : undefined;
  } catch (error) {
    if (isFirst) await discardCheckpoint(out, step);
    throw error;
  }
}
