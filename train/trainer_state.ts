/**
 * `trainer_state.json`: where a run stands, and what it was asked to do.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import type { LossScaleState } from "./loss_scale.ts";

/** Contents of `trainer_state.json`. */
export interface TrainerState {
  /** Finished steps; the next one has this number. */
  readonly step: number;
  /** Options that shape the numbers, by name; a resumed run takes them over. */
  readonly options: Readonly<Record<string, string | number>>;
  /** Loss of every finished step (float32 values), so that the loss hash covers a resumed run from its start. */
  readonly losses: readonly number[];
  /** Where a dynamic loss scale stands. */
  readonly lossScale?: LossScaleState;
}

const FORMAT = "tessera-trainer-state";
const VERSION = 1;

/** Text of the file. */
export function encodeTrainerState(state: TrainerState): string {
  const { step, options, losses, lossScale } = state;
  return JSON.stringify({ format: FORMAT, version: VERSION, step, options, losses, lossScale }) + "\n";
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
  const { step, options, losses, lossScale } = parsed;
  if (typeof step !== "number" || !Number.isInteger(step) || step < 0) {
    return fail("step is not a whole number");
  }
  if (!isOptions(options)) return fail("options is not an object of texts and numbers");
  if (!Array.isArray(losses) || losses.length !== step || !losses.every(Number.isFinite)) {
    return fail(`losses does not hold ${step} numbers`);
  }
  if (lossScale !== undefined && !isLossScale(lossScale)) {
    return fail("lossScale does not hold three numbers");
  }
  return { step, options, losses, ...(lossScale === undefined ? {} : { lossScale }) };
}

function isLossScale(value: unknown): value is LossScaleState {
  const { scale, goodSteps, skippedSteps } = value as Partial<LossScaleState>;
  return Number.isInteger(Math.log2(scale!)) && Number.isInteger(goodSteps) && Number.isInteger(skippedSteps);
}

function isOptions(value: unknown): value is Record<string, string | number> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((x) => typeof x === "string" || typeof x === "number");
}
