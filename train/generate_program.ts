/**
 * The program of a device that writes text.
 *
 * @module
 */
import type { Device } from "../actors/mod.ts";
import { createBackend } from "../kernels/mod.ts";
import { Gpt, type GptConfig, Scope } from "../nn/mod.ts";
import type { SampleOptions, SharedTensors } from "./job.ts";
import { Writer } from "./sample.ts";

/** What to write, and with which model. */
export interface GenerateJob {
  readonly model: GptConfig;
  readonly weights: SharedTensors;
  readonly sample: SampleOptions;
  readonly kernels: "wasm" | "reference";
}

/** Reports every token as it is chosen. */
export default async function generateProgram(device: Device, job: GenerateJob): Promise<void> {
  const scope = Scope.root(device.heap, 0), model = new Gpt(scope, job.model);
  for (const parameter of scope.parameters) {
    device.heap.f32(parameter.span).set(job.weights.get(parameter.name)!);
  }
  const writer = new Writer(createBackend(job.kernels, device.heap), model);
  for (const token of writer.write(job.sample)) await device.report(token);
}
