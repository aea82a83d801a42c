import type { MetricsRecord } from "./metrics.ts";

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
