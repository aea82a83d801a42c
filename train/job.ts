import type { DataSpec } from "../data/mod.ts";
import type { TensorIndex } from "../files/mod.ts";
import type { ModelSpec } from "../nn/mod.ts";
import type { Schedule } from "../strategies/mod.ts";
import type { CheckpointTensors, NamedShapes } from "./checkpoint_files.ts";
import type { Companions } from "./companions.ts";
import type { TrainConfig } from "./config.ts";
import type { LossScaleState } from "./loss_scale.ts";
import type { MetricsRecord } from "./metrics.ts";
import type { DataIdentity } from "./trainer_state.ts";

/** Where a run starts. */
export interface JobStart {
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
  readonly start: JobStart;
  /** Ends the run before `config.steps`, which the learning rate depends on. */
  readonly until?: number;
  /** Order of the passes on every pipeline stage. */
  readonly schedule: Schedule;
  /** Milliseconds of each layer, if stages were balanced by them. */
  readonly layerTimes?: readonly number[];
  /** The parameters, in the order of a checkpoint; undefined if none is written. */
  readonly shapes?: NamedShapes;
  /** What goes with the model into every checkpoint, if it was loaded. */
  readonly companions?: Companions;
}

/** How to generate. */
export interface SampleOptions {
  /** Tokens to go on from; at least one. */
  readonly prompt: readonly number[];
  /** Tokens to write. */
  readonly numTokens: number;
  /** 0 always takes the likeliest token. */
  readonly temperature: number;
  /** Choose among this many; 0 = all. */
  readonly topK: number;
  /** Of the choice of tokens. */
  readonly seed: number;
  /** Ids that end the text; they are not part of it. */
  readonly endTokens?: readonly number[];
}

/** What rank 0 reports while it trains. */
export type TrainEvent = MetricsRecord | CheckpointEvent | NoticeEvent;

/** A checkpoint was written. */
export interface CheckpointEvent {
  /** Tells events apart. */
  readonly type: "checkpoint";
  /** Finished steps when it was written. */
  readonly step: number;
  /** Its folder. */
  readonly path: string;
}

/** Something that people should know; the run goes on. */
export interface NoticeEvent {
  /** Tells events apart. */
  readonly type: "notice";
  /** One line. */
  readonly message: string;
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
