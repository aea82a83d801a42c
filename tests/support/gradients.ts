import { assert, assertEquals } from "@std/assert";
import { openModel, openMoments } from "../../checkpoint/mod.ts";
import { readTensors } from "../../files/mod.ts";
import { type TrainOptions } from "../../train/mod.ts";
import { runToEnd } from "../train/support/runs.ts";

/** First moments after one step (a tenth of the gradients) by name; `folder` gets the checkpoint. */
export async function gradientsOf(options: TrainOptions, folder: string): Promise<Map<string, Float32Array>> {
  const { result } = await runToEnd({ ...options, steps: 1, gradClip: 0, out: folder });
  const path = result.checkpoint!,
    shapes = [...await openModel(path)].map(([name, { shape }]) => [name, shape] as const);
  return readTensors((await openMoments(path, new Map(shapes))).m);
}

/** Asserts that no gradient is off by more than `bound` of the largest element of its tensor. */
export function assertSameGradients(
  actual: Map<string, Float32Array>,
  expected: Map<string, Float32Array>,
  bound: number,
): void {
  assertEquals([...actual.keys()], [...expected.keys()]);
  for (const [name, values] of expected) {
    // The true gradient of the keys' bias is zero: what is there is rounding.
    if (name.endsWith("c_attn.bias")) continue;
    const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const error = actual.get(name)!.reduce((max, value, i) => Math.max(max, Math.abs(value - values[i])), 0);
    assert(error <= bound * largest, `${name}: off by ${error / largest} of its largest element`);
  }
}
