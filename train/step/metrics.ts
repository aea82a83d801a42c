/**
 * What a run reports: the records of `--log` (`metrics_log.ts`) and `--json`, the loss hash, and throughput.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** One device in one step. */
export interface DeviceRecord {
  /** Rank of the device. */
  readonly rank: number;
  /** Time in kernels. */
  readonly computeMs: number;
  /** Time moving payload from and to peers. */
  readonly copyMs: number;
  /** Time waiting for peers. */
  readonly waitMs: number;
  /** Payload moved. */
  readonly bytesMoved: number;
  /** Most device memory that was ever in use. */
  readonly peakBytes: number;
  /** Bytes that came back from a GPU: not there without one. */
  readonly bytesReadBack?: number;
}

/** A step; `loss` is the mean over the global batch before the update. */
export interface StepRecord {
  /** Tells records apart. */
  readonly type: "step";
  /** From 0. */
  readonly step: number;
  /** Nats a token. */
  readonly loss: number;
  /** Global L2 norm before clipping; NaN (in JSON null) if a gradient overflowed and the step was left out. */
  readonly gradNorm: number;
  /** Learning rate of the update. */
  readonly lr: number;
  /** Tokens of the step. */
  readonly tokens: number;
  /** Tokens of the step by its time. */
  readonly tokensPerSecond: number;
  /** Time of the step. */
  readonly stepMs: number;
  /** One entry a device, by rank. */
  readonly devices: readonly DeviceRecord[];
  /** Of a mixture of experts: choices of experts that were full, over all layers of the global batch. */
  readonly droppedChoices?: number;
  /** With a dynamic loss scale: the factor of this step. */
  readonly lossScale?: number;
  /** With a dynamic loss scale: a gradient overflowed, and nothing was updated. */
  readonly isSkipped?: boolean;
}

/** An evaluation after `step` finished steps. */
export interface EvalRecord {
  /** Tells records apart. */
  readonly type: "eval";
  /** Finished steps when it was evaluated. */
  readonly step: number;
  /** Mean validation loss in nats a token. */
  readonly loss: number;
}

/** The end of a run. */
export interface DoneRecord {
  /** Tells records apart. */
  readonly type: "done";
  /** Finished steps. */
  readonly steps: number;
  /** Without the first 10 % of the steps. */
  readonly tokensPerSecond: number;
  /** SHA-256 over the losses; see {@link LossHash}. */
  readonly lossHash: string;
}

/** A line of the log. */
export type MetricsRecord = StepRecord | EvalRecord | DoneRecord;

/** SHA-256 over the little-endian float32 bits of losses, in order. */
export class LossHash {
  readonly #hash = createHash("sha256");
  readonly #bytes = new Uint8Array(4);

  /** Takes in losses that are already known, as from a checkpoint. */
  constructor(losses: Iterable<number> = []) {
    for (const loss of losses) this.add(loss);
  }

  /** Takes in the loss of the next step. */
  add(loss: number): void {
    new DataView(this.#bytes.buffer).setFloat32(0, loss, true);
    this.#hash.update(this.#bytes);
  }

  /** Hash of what was taken in so far, in hex. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }
}

/** Tokens a second over the steps of a run, without the first 10 % of them (at least one, if there are more). */
export class Throughput {
  readonly #tokens: number[] = [];
  readonly #ms: number[] = [];

  /** Takes in a step. */
  add(tokens: number, ms: number): void {
    this.#tokens.push(tokens);
    this.#ms.push(ms);
  }

  /** Tokens a second; 0 before the first step. */
  tokensPerSecond(): number {
    const numSteps = this.#ms.length;
    const skipped = Math.min(Math.ceil(numSteps / 10), numSteps - 1);
    let tokens = 0, ms = 0;
    for (let i = Math.max(0, skipped); i < numSteps; i++) {
      tokens += this.#tokens[i];
      ms += this.#ms[i];
    }
    return ms > 0 ? tokens / ms * 1000 : 0;
  }
}

/** A record as one line of JSON, without the line's end. */
export function encodeRecord(record: MetricsRecord): string {
  return JSON.stringify(record);
}
