/**
 * The program of a device that goes on with many texts at a time.
 *
 * @module
 */
import { type Device, PlannedHeap } from "../actors/mod.ts";
import type { DeviceHeap } from "../kernels/mod.ts";
import { packWeights } from "../nn/mod.ts";
import { familyOf } from "../models/mod.ts";
import { Engine, type EngineLimits, type EngineOutput, type EngineRequest } from "./engine/mod.ts";
import { buildDecoder, type GenerateJob, readParameters, type WriterModel } from "./generate_program.ts";

/** What to write, and with which model. */
export interface EngineJob extends Omit<GenerateJob, "samples"> {
  /** What a step may hold. */
  readonly limits: EngineLimits;
  /** All of it, in the order in which it comes. */
  readonly requests: readonly EngineRequest[];
}

/** Reports what each step has brought, as lists of {@link EngineOutput}. */
export default async function engineProgram(device: Device, job: EngineJob): Promise<void> {
  const { model: { config, tuning }, kernels } = job, family = (await familyOf(job.model))!;
  const { scope, backend, engine } = buildEngine(
    device.heap,
    { family, config, tuning, kernels },
    job.limits,
  );
  readParameters(device.heap, scope, job.weights);
  packWeights(backend, scope.parameters);
  for (const request of job.requests) engine.add(request);
  while (engine.isBusy) {
    const outputs: EngineOutput[] = engine.step();
    if (outputs.length > 0) await device.report(outputs);
  }
}

/** The smallest device memory that an engine of a model fits in. */
export function planEngine(model: WriterModel, limits: EngineLimits): number {
  const heap = new PlannedHeap();
  // Everything is taken when passes are recorded.
  buildEngine(heap, model, limits);
  return heap.extentBytes;
}

function buildEngine(heap: DeviceHeap, written: WriterModel, limits: EngineLimits) {
  const { scope, backend, model } = buildDecoder(heap, written);
  return { scope, backend, engine: new Engine(backend, model, limits) };
}
