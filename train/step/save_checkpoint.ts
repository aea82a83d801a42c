import type { DeviceView } from "../../actors/mod.ts";
import {
  beginCheckpoint,
  checkpointPath,
  type CheckpointTensors,
  completeCheckpoint,
  configJson,
  discardCheckpoint,
  type LossScaleState,
  mergeConfig,
  removeOld,
  tensorsToWrite,
} from "../../checkpoint/mod.ts";
import { recipeOf, type TrainJob } from "../config/mod.ts";
import { naming } from "./save_error.ts";

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
  /** The checkpoint before, on the first rank: it has what goes with the model. */
  readonly previous?: string;
}

/**
 * Writes `out/step-N` in one move, all ranks together: the first makes the files, every rank writes what it answers
 * for to its place in them, and the first moves the whole to its place. No rank holds more than it trains.
 *
 * @returns The folder, on the first rank.
 */
export async function saveCheckpoint(
  device: DeviceView,
  replica: TensorHolder,
  { model, config, saved, companions, identity }: TrainJob,
  progress: Progress,
): Promise<string | undefined> {
  const { previous, ...reached } = progress, { step } = reached, out = config.out!;
  device.enter(step, "checkpoint");
  const isFirst = device.rank === 0, target = checkpointPath(out, step);
  const waitForAll = () => device.group("world").barrier({ label: "checkpoint" });
  try {
    const state = { ...reached, options: recipeOf(config), data: identity };
    const json = await configJson(model),
      merged = companions === undefined ? json : mergeConfig(companions, json);
    // Those that the run started from may have been removed by now.
    const kept = companions && { ...companions, from: previous ?? companions.from };
    const files = { config: merged, tensors: saved!, state, companions: kept };
    if (isFirst) await naming(target, () => beginCheckpoint(out, files));
    waitForAll();
    await replica.writeTensors(tensorsToWrite(out, step, saved!));
    waitForAll();
    if (!isFirst) return undefined;
    await naming(target, () => completeCheckpoint(out, step));
    if (config.keep > 0) await removeOld(out, { step, keep: config.keep });
    return target;
  } catch (error) {
    if (isFirst) await discardCheckpoint(out, step).catch(() => {});
    throw error;
  }
}
