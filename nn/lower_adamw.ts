import { onnx } from "../kernels/mod.ts";
import type { AdamWConfig } from "./optim.ts";

/** What changes from update to update: scalars of a graph. See {@link adamwScalars}. */
export interface AdamWScalars<T> {
  /** Multiplies gradients first: clipping. */
  readonly gradientScale: T;
  /** Learning rate over the correction of the first moment. */
  readonly rate: T;
  /** Learning rate. */
  readonly decayRate: T;
  /** 1 over the root of the correction of the second moment. */
  readonly rootCorrection: T;
}

/** A parameter with its gradient and moments, before or after an update. */
export interface AdamWState {
  /** Values. */
  readonly value: onnx.Value;
  /** Running mean of the gradient. */
  readonly m: onnx.Value;
  /** Running mean of its square. */
  readonly v: onnx.Value;
}

/** The scalars of an update; `step` counts from 1. */
export function adamwScalars(
  { beta1, beta2 }: AdamWConfig,
  update: { step: number; learningRate: number; gradientScale: number },
): AdamWScalars<number> {
  const { step, learningRate, gradientScale } = update;
  return {
    gradientScale,
    rate: learningRate / (1 - beta1 ** step),
    decayRate: learningRate,
    rootCorrection: 1 / Math.sqrt(1 - beta2 ** step),
  };
}

/**
 * Adds an update of a parameter to a graph: what `AdamW.update` does in memory.
 *
 * @param config `weightDecay` is 0 for what does not decay.
 */
export function lowerAdamW(
  { value, m, v, gradient }: AdamWState & { readonly gradient: onnx.Value },
  scalars: AdamWScalars<onnx.Value>,
  config: AdamWConfig,
): AdamWState {
  const { beta1, beta2, epsilon, weightDecay } = config, scaled = onnx.mul(gradient, scalars.gradientScale);
  const nextM = onnx.add(onnx.mul(m, beta1), onnx.mul(scaled, 1 - beta1));
  const nextV = onnx.add(onnx.mul(v, beta2), onnx.mul(onnx.mul(scaled, scaled), 1 - beta2));
  const root = onnx.add(onnx.mul(onnx.unary("Sqrt", nextV), scalars.rootCorrection), epsilon);
  const moved = onnx.sub(value, onnx.mul(onnx.div(nextM, root), scalars.rate));
  if (weightDecay === 0) return { value: moved, m: nextM, v: nextV };
  const decayed = onnx.mul(onnx.mul(value, scalars.decayRate), weightDecay);
  return { value: onnx.sub(moved, decayed), m: nextM, v: nextV };
}
