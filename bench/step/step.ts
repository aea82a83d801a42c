import { prepareTraining, startTraining } from "../../train/mod.ts";
import { median } from "../statistics.ts";

/** A measured training step. */
export interface StepBenchRecord {
  readonly bench: "step";
  readonly layers: number;
  readonly embed: number;
  readonly context: number;
  /** Sequences of a step, over all devices. */
  readonly batch: number;
  readonly devices: number;
  /** What they compute with. */
  readonly kernels: string;
  /** Median of one step. */
  readonly ms: number;
  readonly tokensPerSecond: number;
}

/** The default model, and a larger one. */
const MODELS = [
  { layers: 4, heads: 4, embed: 128, context: 64, batch: 12, steps: 60 },
  { layers: 6, heads: 6, embed: 384, context: 256, batch: 4, steps: 12 },
] as const;

/** Steps on a GPU: the first one compiles, and software that acts as a GPU takes minutes for more. */
const GPU_STEPS = 8;

/** Measures training steps (forward, backward, reduction, AdamW) on so many devices, or on one GPU. */
export async function* benchStep(devices: number, kernels = "wasm"): AsyncGenerator<StepBenchRecord> {
  for (const model of MODELS) {
    const { layers, embed, context, batch } = model, steps = kernels === "wasm" ? model.steps : GPU_STEPS;
    const options = { ...model, steps, warmup: 0, kernels, dp: devices, evalEvery: 0 };
    const training = await startTraining(await prepareTraining(options));
    const times: number[] = [];
    for await (const step of training) if (step.step >= steps / 4) times.push(step.stepMs);
    const ms = median(times), tokensPerSecond = batch * context / ms * 1000;
    yield { bench: "step", layers, embed, context, batch, devices, kernels, ms, tokensPerSecond };
  }
}
