/**
 * `trainer_state.json`: where a run stands, and what it was asked to do.
 *
 * @module
 */
import type { Fingerprint } from "../data/mod.ts";
import { UsageError } from "../files/mod.ts";

/** Where a dynamic loss scale stands: part of a checkpoint. */
export interface LossScaleState {
  /** Factor of the loss, a power of two. */
  readonly scale: number;
  /** Updates since the scale last changed. */
  readonly goodSteps: number;
  /** Steps without an update, in all. */
  readonly skippedSteps: number;
}

/** Contents of `trainer_state.json`. */
export interface TrainerState {
  /** Finished steps; the next one has this number. */
  readonly step: number;
  /** Options that shape the numbers, by name; a resumed run takes them over. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** Loss of every finished step (float32 values), so that the loss hash covers a resumed run from its start. */
  readonly losses: readonly number[];
  /** Where a dynamic loss scale stands. */
  readonly lossScale?: LossScaleState;
  /** Samples of the finished steps; without it each had the batch of the options. */
  readonly samples?: number;
  /** What the data were. */
  readonly data?: DataIdentity;
}

/** Data of a run. */
export interface DataIdentity extends Fingerprint {
  /** Where they were; undefined for Moby Dick, and for samples of a program. */
  readonly path?: string;
  /** Type of the tokens, if it was given. */
  readonly dtype?: string;
}

const FORMAT = "tessera-trainer-state";
const VERSION = 1;

/** Text of the file. */
export function encodeTrainerState(state: TrainerState): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, ...state }) + "\n";
}

/**
 * Reads the text of the file.
 *
 * @param path For messages.
 * @throws {UsageError} If the text is not what {@link encodeTrainerState} writes.
 */
export function decodeTrainerState(text: string, path: string): TrainerState {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot resume from ${path}: ${problem}`);
  };
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(text);
  } catch {
    return fail("it is not JSON, perhaps truncated");
  }
  if (parsed?.format !== FORMAT) return fail(`its format is not "${FORMAT}"`);
  if (parsed.version !== VERSION) return fail(`its version is ${parsed.version}, supported is ${VERSION}`);
  const { step, options, losses, lossScale, samples, data } = parsed;
  if (typeof step !== "number" || !Number.isInteger(step) || step < 0) {
    return fail("step is not a whole number");
  }
  if (!isOptions(options)) return fail("options is not an object of texts, numbers, true and false");
  if (!Array.isArray(losses) || losses.length !== step || !losses.every(Number.isFinite)) {
    return fail(`losses does not hold ${step} numbers`);
  }
  if (lossScale !== undefined && !isLossScale(lossScale)) {
    return fail("lossScale does not hold three numbers");
  }
  if (samples !== undefined && !(Number.isSafeInteger(samples) && samples as number >= 0)) {
    return fail("samples is not a whole number");
  }
  if (data !== undefined && !isIdentity(data)) return fail("data does not hold a length and a hash");
  // Only what is there: states are compared.
  const rest = Object.entries({ lossScale, samples, data }).filter(([, value]) => value !== undefined);
  return { step, options, losses, ...Object.fromEntries(rest) };
}

function isIdentity(value: unknown): value is DataIdentity {
  const { length, hash, path = "", dtype = "" } = Object(value) as Partial<DataIdentity>;
  return Number.isSafeInteger(length) && typeof hash === "string" && typeof path === "string" &&
    typeof dtype === "string";
}

function isLossScale(value: unknown): value is LossScaleState {
  const { scale, goodSteps, skippedSteps } = value as Partial<LossScaleState>;
  return Number.isInteger(Math.log2(scale!)) && Number.isInteger(goodSteps) && Number.isInteger(skippedSteps);
}

function isOptions(value: unknown): value is Record<string, string | number | boolean> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((x) => ["string", "number", "boolean"].includes(typeof x));
}
