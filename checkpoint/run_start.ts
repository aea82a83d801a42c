import type { TensorIndex } from "../files/mod.ts";
import type { CheckpointTensors } from "./checkpoint_files.ts";
import type { LossScaleState } from "./trainer_state.ts";

/** Where a run starts. */
export interface RunStart {
  /** First step of this run. */
  readonly step: number;
  /** Checkpoint that it goes on from. */
  readonly folder?: string;
  /** Losses of the steps before it. */
  readonly losses: readonly number[];
  /** Samples of the steps before it; undefined if each had the batch of this run. */
  readonly samples?: number;
  /** Where parameters lie, by name; without them the model starts from its own initialisation. */
  readonly weights?: TensorIndex;
  /** Where a dynamic loss scale stood. */
  readonly lossScale?: LossScaleState;
  /** Where first and second moments lie, by parameter name. */
  readonly moments?: Pick<CheckpointTensors, "m" | "v">;
}
