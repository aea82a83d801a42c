import { assert, assertEquals } from "@std/assert";
import type { TrainOptions } from "../../train/mod.ts";
import { nameOf } from "../support/golden_suite.ts";
import { type Run, runToEnd, tinyGpt } from "../train/support/runs.ts";

/**
 * `fast` numerics: losses near 5 carry an error of about 1e-6, norms a relative one
 * (tests/equivalence/golden_test.ts).
 */
const LOSS_BOUND = 5e-6, NORM_BOUND = 1e-5;

/** What is compared. */
interface Compared {
  /** Of the layout, for messages. */
  readonly name: string;
  /** The bits must be equal, not just the numbers to rounding. */
  readonly isExact?: boolean;
}

/** What every layout must compute: the losses and the gradient norms of one device. */
export function assertSameLoss(actual: Run, expected: Run, { name, isExact = false }: Compared): void {
  const bitsOf = ({ losses, gradNorms }: Run) => ({ losses, gradNorms });
  if (isExact) return assertEquals(bitsOf(actual), bitsOf(expected), name);
  assertNear(actual.losses, expected.losses, { what: `${name}: loss`, bound: () => LOSS_BOUND });
  assertNear(actual.gradNorms, expected.gradNorms, {
    what: `${name}: norm`,
    bound: (norm) => NORM_BOUND * norm,
  });
}

function assertNear(
  actual: readonly number[],
  expected: readonly number[],
  { what, bound }: { readonly what: string; readonly bound: (value: number) => number },
): void {
  assertEquals(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    const error = Math.abs(value - expected[i]);
    assert(error <= bound(expected[i]), `${what} of step ${i} is off by ${error}`);
  });
}

/** A GPT for all layouts in exact numerics, with sizes as options: 4 layers, so 6 to share out over stages. */
export async function smallGpt(folder: string): Promise<TrainOptions> {
  const { model: _, ...rest } = await tinyGpt(folder);
  return {
    ...rest,
    ...{ layers: 4, heads: 2, embed: 16, context: 16 },
    ...{ batch: 8, microBatch: 2, steps: 3, warmup: 0, dp: 1, numerics: "exact" },
  };
}

/** The same with experts. */
export const MIXTURE: TrainOptions = { layers: 2, experts: 4, topKExperts: 2 };

/** Trains on one device and on each layout, and compares losses and norms; in exact numerics to the bit. */
export async function compare(options: TrainOptions, layouts: readonly TrainOptions[]): Promise<Run> {
  const expected = await runToEnd(options), isExact = options.numerics === "exact";
  for (const layout of layouts) {
    assertSameLoss(await runToEnd({ ...options, ...layout }), expected, { name: nameOf(layout), isExact });
  }
  return expected;
}
