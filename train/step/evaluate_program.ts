/**
 * The program that every rank of `--eval-only` executes, and evaluation as a run that trains has it.
 *
 * @module
 */
import type { Device } from "../../actors/mod.ts";
import { openSource, type Source, type SourceOrder } from "../../data/mod.ts";
import { StepExchange } from "./exchange.ts";
import type { TrainJob, TrainResult } from "../config/mod.ts";
import { Replica } from "./replica.ts";

/** Computes the loss of the samples that are held out; nothing is trained. */
export default async function evaluateProgram(device: Device, job: TrainJob): Promise<TrainResult> {
  const { start: { step } } = job;
  using source = openSource(job.data, orderOf(job)), replica = await Replica.build(device, job, source);
  const loss = await evaluate(device, step, { replica, exchange: new StepExchange(device), source });
  if (device.rank === 0) await device.report({ type: "eval", step, loss });
  return { step, isStopped: false };
}

/** The order of samples, which goes on where a run before has ended. */
export function orderOf({ config, start: { step, samples } }: TrainJob): SourceOrder {
  return { ...config, from: samples === undefined ? undefined : { step, sample: samples } };
}

/** Mean loss of the samples that are held out, the same on every rank. */
export async function evaluate(
  device: Device,
  step: number,
  { replica, exchange, source }: { replica: Replica; exchange: StepExchange; source: Source },
): Promise<number> {
  device.enter(step, "evaluation");
  return exchange.finish(await replica.evaluate()).lossSum / source.countEvaluationTargets();
}
