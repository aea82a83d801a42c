/**
 * What exact numerics ask of a configuration: every rank and micro-batch must have a subtree of the sums of one device.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import { SEQUENCE_UNITS } from "../../nn/mod.ts";
import { EXACT_CHUNKS, type Schedule } from "../../strategies/mod.ts";

/** The part of a configuration that exact numerics depend on. */
export interface ExactSpread {
  /** Whether sums have an order that no layout changes. */
  readonly numerics: "fast" | "exact";
  /** What devices compute with. */
  readonly kernels: string;
  /** Element type of weights, activations and gradients. */
  readonly precision: string;
  /** Tokens of a sequence. */
  readonly context: number;
  /** Replicas. */
  readonly dp: number;
  /** Pipeline stages. */
  readonly pp: number;
  /** Devices that share out the experts. */
  readonly ep: number;
  /** Devices that share out each sequence. */
  readonly cp: number;
  /** Devices that share every layer. */
  readonly tp: number;
  /** Whether rows between split layers are shared out. */
  readonly sp: boolean;
  /** Order of the passes of a pipeline. */
  readonly schedule: string;
  /** Activations that are computed again. */
  readonly recompute: string;
}

/**
 * Refuses what has no fixed order of its sums, each with its reason.
 *
 * @throws {UsageError} Says what does not go together, and what to do.
 */
export function checkExact(config: ExactSpread): void {
  if (config.numerics === "fast") return;
  const { kernels, context, cp, ep, tp, sp, pp, schedule, recompute } = config;
  const refuse = (what: string, why: string): never => {
    throw new UsageError(`Cannot use ${what} with --numerics exact: ${why}; or use --numerics fast`);
  };
  if (kernels !== "wasm") refuse(`--kernels ${kernels}`, "its sums are those of float64; use --kernels wasm");
  if (config.precision !== "f32") {
    refuse(
      `--precision ${config.precision}`,
      "layouts store, and so round, other parts of a sum; use --precision f32",
    );
  }
  for (const axis of ["dp", "ep", "cp", "tp"] as const) {
    if (!isPowerOfTwo(config[axis])) {
      refuse(`--${axis} ${config[axis]}`, "sums are halved; use a power of two");
    }
  }
  if (tp > EXACT_CHUNKS) {
    refuse(`--tp ${tp}`, `sums are cut into ${EXACT_CHUNKS}; use --tp ${EXACT_CHUNKS} or less`);
  }
  const most = SEQUENCE_UNITS / 2;
  if (cp > most) {
    refuse(`--cp ${cp}`, `a sequence is cut into ${most} pairs of units; use --cp ${most} or less`);
  }
  if ((cp > 1 || sp) && context % SEQUENCE_UNITS !== 0) {
    const unit = `a multiple of ${SEQUENCE_UNITS}`;
    refuse(`--context ${context}`, `sequences are cut into eighths; use a --context that is ${unit}`);
  }
  if (sp && cp * tp > SEQUENCE_UNITS) {
    refuse(
      `--sp, --cp ${cp} and --tp ${tp}`,
      `a sequence has ${SEQUENCE_UNITS} units; use less of one of them`,
    );
  }
  if (cp > 1 && ep > 1) {
    refuse(
      `--cp ${cp} and --ep ${ep}`,
      "an expert sums over sequences before their parts are summed; use one of them",
    );
  }
  if (pp > 1 && schedule === "zero-bubble" && recompute !== "none") {
    refuse(
      `--schedule zero-bubble and --recompute ${recompute}`,
      "gradients of recomputed layers come with those of the next micro-batch; use --recompute none or another schedule",
    );
  }
}

/**
 * Refuses schedules that complete gradients in another order than that of micro-batches.
 *
 * @throws {UsageError} Names the stage.
 */
export function checkExactSchedule(schedule: Schedule): void {
  const latest = new Map<number, number>();
  for (const { kind, stage, microBatch } of schedule.devices.flat()) {
    if (kind !== "B" && kind !== "W") continue;
    const before = latest.get(stage) ?? -1;
    latest.set(stage, microBatch);
    if (microBatch === before + 1) continue;
    throw new UsageError(
      `Cannot use --schedule ${schedule.name} with --numerics exact: stage ${stage} completes the gradients of ` +
        `micro-batch ${microBatch} after those of ${before}, and they are summed in order; or use --numerics fast`,
    );
  }
}

/** The number of micro-batches in exact numerics: a power of two, so that each is a subtree of the batch. */
export function exactMicroBatches(wanted: number): number {
  return 2 ** Math.ceil(Math.log2(wanted));
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
