import { assert, assertEquals } from "@std/assert";
import type { TrainOptions } from "../../train/mod.ts";
import { type Run, runToEnd, tinyGpt } from "../train/support/runs.ts";

/** `fast` numerics: losses near 5 carry an error of about 1e-6, norms a relative one (tests/equivalence/golden_test.ts). */
const LOSS_BOUND = 5e-6, NORM_BOUND = 1e-5;

/** What every layout must compute: the losses and the gradient norms of one device. */
export function assertSameLoss(actual: Run, expected: Run, name: string): void {
  assertEquals(actual.losses.length, expected.losses.length, name);
  actual.losses.forEach((loss, i) => {
    const error = Math.abs(loss - expected.losses[i]);
    assert(error <= LOSS_BOUND, `${name}: loss of step ${i} is off by ${error}`);
  });
  assertSameNorm(actual, expected, name);
}

/** Norms alone, as they decide how much is clipped. */
export function assertSameNorm(actual: Run, expected: Run, name: string): void {
  actual.gradNorms.forEach((norm, i) => {
    const error = Math.abs(norm - expected.gradNorms[i]);
    assert(error <= NORM_BOUND * expected.gradNorms[i], `${name}: norm of step ${i} is off by ${error}`);
  });
}

/** Options by their text in messages. */
export function nameOf(layout: TrainOptions): string {
  return Object.entries(layout).map(([key, value]) => `${key} ${value}`).join(", ");
}

/** A GPT for all layouts, with sizes as options: 4 layers, so 6 to share out over stages. */
export async function smallGpt(folder: string): Promise<TrainOptions> {
  const { model: _, ...rest } = await tinyGpt(folder);
  return {
    ...rest,
    ...{ layers: 4, heads: 2, embed: 16, context: 16 },
    ...{ batch: 8, microBatch: 2, steps: 3, warmup: 0, dp: 1 },
  };
}

/** The same with experts. */
export const MIXTURE: TrainOptions = { layers: 2, experts: 4, topKExperts: 2 };

/** Trains on one device and on each layout, and compares losses and norms. */
export async function compare(options: TrainOptions, layouts: readonly TrainOptions[]): Promise<Run> {
  const expected = await runToEnd(options);
  for (const layout of layouts) {
    assertSameLoss(await runToEnd({ ...options, ...layout }), expected, nameOf(layout));
  }
  return expected;
}
