/** Recipes that say what they mean: a warm-up that ends, and derived numbers that follow what they are derived from. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../files/usage_error.ts";
import { resolveConfig } from "../../../train/config/config.ts";
import type { GivenOptions } from "../../../train/config/options.ts";
import { describeRates, learningRate, recipeOf } from "../../../train/config/recipe.ts";

const resolve = (given: GivenOptions, saved?: Record<string, string | number | boolean>) =>
  resolveConfig(given, { numCores: 2, saved });

Deno.test("a warm-up that nobody gave is at most a tenth of the steps, and the run says so", () => {
  assertEquals(resolve({ steps: 1000 }).warmup, 100);
  const short = resolve({ steps: 50 });
  assertEquals([short.warmup, describeRates(short)], [
    5,
    "warm-up of 5 steps, as the run has 50: --warmup sets another",
  ]);
  assertEquals(describeRates(resolve({ steps: 50, warmup: 20 })), undefined);
  assertEquals(resolve({ steps: 50, warmup: 20 }).warmup, 20);
});

Deno.test("a warm-up that is given must end before the run", () => {
  assertThrows(
    () => resolve({ steps: 50, warmup: "50" }),
    UsageError,
    "Cannot use --warmup 50 with --steps 50: the run would end before it reaches --lr 0.003; use --warmup 49 or less",
  );
});

Deno.test("a run that goes on keeps the warm-up that it has done, with more steps and with fewer", () => {
  const saved = recipeOf(resolve({ steps: 50 }));
  assertEquals(resolve({ steps: 3000 }, saved).warmup, 5);
  const ended = resolve({ steps: 50 }, recipeOf(resolve({ steps: 3000 })));
  assertEquals([ended.warmup, describeRates(ended)?.startsWith("warm-up of 100 steps, from the run")], [
    100,
    true,
  ]);
});

Deno.test("a least learning rate that nobody gave follows --lr, also when a run goes on with another one", () => {
  const saved = recipeOf(resolve({ lr: 1e-3 }));
  assertEquals(resolve({}, saved).minLr, 1e-4);
  assertEquals(resolve({ lr: 5e-5 }, saved).minLr, 5e-6);
  assertEquals(resolve({ lr: 5e-4 }, recipeOf(resolve({ lr: 1e-3, minLr: 1e-4 }))).minLr, 1e-4);
});

Deno.test("a micro-batch that exact numerics with a context axis cannot have is refused", () => {
  const exact = { numerics: "exact", cp: 2, dp: 1, batch: 8 };
  assertEquals(resolve(exact).microBatch, 1);
  assertEquals(resolve({ ...exact, microBatch: "1" }).microBatch, 1);
  assertThrows(
    () => resolve({ ...exact, microBatch: 4 }),
    UsageError,
    "Cannot use --micro-batch 4 with --cp",
  );
});

Deno.test("learningRate() follows the golden recipe", () => {
  const recipe = { lr: 1e-3, minLr: 1e-4, warmup: 5, steps: 30 };
  assertAlmostEquals(learningRate(0, recipe), 0.00016666666666666666, 1e-18);
  assertAlmostEquals(learningRate(4, recipe), 0.0008333333333333334, 1e-18);
  assertEquals(learningRate(5, recipe), 1e-3);
  assertAlmostEquals(learningRate(6, recipe), 0.0009964516155915152, 1e-17);
  assertAlmostEquals(learningRate(29, recipe), 0.00010354838440848501, 1e-17);
  assertEquals(learningRate(0, { ...recipe, warmup: 0 }), 1e-3);
});
