/**
 * The program of a device that writes text.
 *
 * @module
 */
import { type Device, PlannedHeap } from "../actors/mod.ts";
import { type TensorIndex, TensorReader } from "../files/mod.ts";
import { createBackend, type DeviceHeap } from "../kernels/mod.ts";
import { Gpt, type GptConfig, Scope } from "../nn/mod.ts";
import type { SampleOptions } from "./job.ts";
import { Writer } from "./sample.ts";

/** What to write, and with which model. */
export interface GenerateJob {
  /** Sizes of the model. */
  readonly model: GptConfig;
  /** Where its parameters lie. */
  readonly weights: TensorIndex;
  /** What to write. */
  readonly sample: SampleOptions;
  /** Backend of the device. */
  readonly kernels: "wasm" | "reference";
}

/** Reports every token as it is chosen. */
export default async function generateProgram(device: Device, job: GenerateJob): Promise<void> {
  const { scope, writer } = buildWriter(device.heap, job);
  readParameters(device.heap, scope, job.weights);
  for (const token of writer.write(job.sample)) await device.report(token);
}

/** The smallest device memory that generation with a model fits in: the same program, on a heap that only counts. */
export function planGenerate(job: Pick<GenerateJob, "model" | "kernels">): number {
  const heap = new PlannedHeap(), { writer } = buildWriter(heap, job);
  // Kernels take workspace for what they see: a full cache at last.
  for (let i = 0; i < job.model.context; i++) writer.read(0);
  return heap.extentBytes;
}

function buildWriter(heap: DeviceHeap, { model, kernels }: Pick<GenerateJob, "model" | "kernels">) {
  const scope = Scope.of({ heap, seed: undefined }), gpt = new Gpt(scope, model);
  return { scope, writer: new Writer(createBackend(kernels, heap), gpt) };
}

/** Straight from the files to their places: the model is in memory once. */
function readParameters(heap: DeviceHeap, { parameters }: Scope, weights: TensorIndex): void {
  using reader = new TensorReader();
  for (const { name, span } of parameters) reader.read(weights.get(name)!, 0, heap.f32(span));
}
