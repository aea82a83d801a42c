import { DeviceError } from "../actors/mod.ts";
import { loadRun } from "../checkpoint/mod.ts";
import type { TrainJob } from "./config/mod.ts";

/** A run whose GPU has failed, as far as it came. */
export interface FailedRun {
  /** What it was started with. */
  readonly job: TrainJob;
  /** Steps that were reported. */
  readonly finished: number;
  /** The newest checkpoint that it has written. */
  readonly checkpoint: string | undefined;
  /** Whether it may go on with wasm to its end. */
  readonly mayFallBack: boolean;
}

/** How a run is saved. */
export interface Rescue {
  /** What is still to run, without a GPU; undefined if the newest checkpoint is that of the last finished step. */
  readonly job: TrainJob | undefined;
  /** Whether the run goes on to its end; otherwise it ends with the error when the job is done. */
  readonly goesOn: boolean;
  /** One line: what happened, and what is done now. */
  readonly notice: string;
}

/** The first line of what failed if it was a GPU, or what drives it; undefined for any other failure. */
export function gpuFailure(error: unknown): string | undefined {
  if (!(error instanceof DeviceError) || !error.reason.startsWith("GpuError: ")) return undefined;
  return `Device ${error.rank} failed in step ${error.step}: ${error.reason.slice("GpuError: ".length)}`;
}

/**
 * Says how to go on when a GPU has failed. What was on it is gone; the same steps are computed again, from the newest
 * checkpoint or the start, on wasm: data and random numbers are functions of the step, so the losses are the same.
 *
 * @returns undefined if nothing can be saved: the failure was another one, or nobody wants a checkpoint.
 */
export async function rescueRun(error: unknown, run: FailedRun): Promise<Rescue | undefined> {
  const { job, finished, checkpoint, mayFallBack } = run, failure = gpuFailure(error), { out } = job.config;
  if (failure === undefined || (!mayFallBack && out === undefined)) return undefined;
  const start = checkpoint === undefined ? job.start : (await loadRun(checkpoint)).start;
  const again = start.step < finished
    ? `computes steps ${start.step} to ${finished - 1} again`
    : `goes on after ${finished} steps`;
  const wasm = { ...job, start, config: { ...job.config, kernels: "wasm" } };
  if (mayFallBack) {
    return { job: wasm, goesOn: true, notice: `${failure}; the run ${again} with wasm kernels` };
  }
  if (start.step === finished) return { job: undefined, goesOn: false, notice: failure };
  const notice = `${failure}; the run ${again} with wasm kernels, to save the last finished step`;
  return { job: { ...wasm, until: finished }, goesOn: false, notice };
}

/** The error that a run ends with when all is saved. */
export function savedError(error: unknown, checkpoint: string | undefined): Error {
  const saved = checkpoint === undefined
    ? "no step was finished"
    : `saved ${checkpoint}, go on with --resume ${checkpoint} --kernels wasm`;
  return new Error(`${gpuFailure(error)}; ${saved}`, { cause: error });
}
