import type { Companions, DataIdentity, RunStart, SavedTensors } from "../../checkpoint/mod.ts";
import type { DataSpec } from "../../data/mod.ts";
import type { ModelSpec } from "../../nn/mod.ts";
import type { Schedule } from "../../strategies/mod.ts";
import type { TrainConfig } from "./config.ts";

/** All that a rank needs to train: plain data and shared buffers. */
export interface TrainJob {
  /** The recipe, checked and complete. */
  readonly config: TrainConfig;
  /** Module and configuration that every rank builds the model from. */
  readonly model: ModelSpec;
  /** Where samples lie. */
  readonly data: DataSpec;
  /** What a checkpoint says of the data. */
  readonly identity: DataIdentity;
  /** Where the run begins: anew, from weights, or from a checkpoint. */
  readonly start: RunStart;
  /** Ends the run before `config.steps`, which the learning rate depends on. */
  readonly until?: number;
  /** Order of the passes on every pipeline stage. */
  readonly schedule: Schedule;
  /** Milliseconds of each layer, if stages were balanced by them. */
  readonly layerTimes?: readonly number[];
  /** What checkpoints hold, in their order; undefined if none is written. */
  readonly saved?: SavedTensors;
  /** What goes with the model into every checkpoint, if it was loaded. */
  readonly companions?: Companions;
}

/** What a run ends with; the same on every rank but for `checkpoint`, which rank 0 knows. */
export interface TrainResult {
  /** Finished steps. */
  readonly step: number;
  /** The user asked to stop before the last step. */
  readonly isStopped: boolean;
  /** Folder of the last checkpoint; rank 0 knows it. */
  readonly checkpoint?: string;
}
