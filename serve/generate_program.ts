/**
 * The program of a device that writes text.
 *
 * @module
 */
import { type Device, PlannedHeap } from "../actors/mod.ts";
import { type TensorIndex, TensorReader } from "../files/mod.ts";
import { createBackend, type DeviceHeap } from "../kernels/mod.ts";
import { familyOf, type ModelFamily, tuningOf } from "../models/mod.ts";
import { type ModelSpec, packWeights, Scope, type TuningSpec } from "../nn/mod.ts";
import type { SampleOptions } from "./sample_options.ts";
import { TokenWriter } from "./writer.ts";

/** What to write, and with which model. */
export interface GenerateJob {
  /** The model, of a family. */
  readonly model: ModelSpec;
  /** Where its parameters lie. */
  readonly weights: TensorIndex;
  /** What to write, one after the other. */
  readonly samples: readonly SampleOptions[];
  /** Backend of the device. */
  readonly kernels: "wasm" | "reference";
}

/** What a writer is made of. */
export interface WriterModel extends Pick<GenerateJob, "kernels"> {
  readonly family: ModelFamily;
  readonly config: unknown;
  readonly tuning?: TuningSpec;
}

/** Reports every token as it is chosen, with the place of its sample. */
export default async function generateProgram(device: Device, job: GenerateJob): Promise<void> {
  const { model: { config, tuning }, kernels } = job, family = (await familyOf(job.model))!;
  const { scope, backend, writer } = buildWriter(device.heap, { family, config, tuning, kernels });
  readParameters(device.heap, scope, job.weights);
  packWeights(backend, scope.parameters);
  for (const [prompt, sample] of job.samples.entries()) {
    writer.forget();
    for (const token of writer.write(sample)) await device.report({ prompt, token });
  }
}

/** The smallest device memory that generation with a model fits in: the same program, on a heap that only counts. */
export function planGenerate(model: WriterModel): number {
  const heap = new PlannedHeap(), { writer } = buildWriter(heap, model);
  // Kernels take workspace for what they see: a full cache at last.
  writer.readAll(Array(writer.context).fill(0));
  return heap.extentBytes;
}

function buildWriter(heap: DeviceHeap, written: WriterModel) {
  const { scope, backend, model } = buildDecoder(heap, written);
  return { scope, backend, writer: new TokenWriter(backend, model) };
}

/** The model on a heap, without values. */
export function buildDecoder(heap: DeviceHeap, { family, config, tuning = {}, kernels }: WriterModel) {
  const scope = Scope.of({ heap, seed: undefined });
  return {
    scope,
    backend: createBackend(kernels, heap),
    model: family.decoder(scope.tuned(tuningOf(tuning)), config),
  };
}

/** Straight from the files to their places: the model is in memory once. */
export function readParameters(heap: DeviceHeap, { parameters }: Scope, weights: TensorIndex): void {
  using reader = new TensorReader();
  for (const { name, span } of parameters) reader.read(weights.get(name)!, 0, heap.f32(span));
}
