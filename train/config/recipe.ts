/**
 * The recipe of a run: what its numbers depend on, what of it was given, and what follows from the rest.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import { type OptionSpec } from "./option_spec.ts";
import { type GivenOptions, TRAIN_OPTIONS } from "./options.ts";

/** Part of a configuration that decides the learning rate. */
export interface LearningRateRecipe {
  /** Highest learning rate. */
  readonly lr: number;
  /** Learning rate at the end. */
  readonly minLr: number;
  /** Steps of linear warm-up. */
  readonly warmup: number;
  /** Steps in all. */
  readonly steps: number;
}

/** The part of a recipe that follows from the rest unless it is given. */
export type DerivedRecipe = Pick<LearningRateRecipe, "minLr" | "warmup"> & {
  /** Names of options that follow from others here, as nobody gave them. */
  readonly derived: readonly string[];
};

/**
 * Completes the learning rate: the least one is a tenth of the highest, the warm-up at most a tenth of the steps.
 *
 * @param given What the user asks for.
 * @param saved What the resumed run says; its warm-up has been done, and stays.
 * @throws {UsageError} If the warm-up that is given leaves no step after it.
 */
export function settleRates(
  { lr, minLr, warmup, steps }: { lr: number; minLr?: number; warmup: number; steps: number },
  { given, saved }: { given: GivenOptions; saved?: GivenOptions },
): DerivedRecipe {
  if (given.warmup !== undefined && warmup >= steps && warmup > 0) {
    throw new UsageError(
      `Cannot use --warmup ${warmup} with --steps ${steps}: the run would end before it reaches --lr ${lr}; ` +
        `use --warmup ${steps - 1} or less`,
    );
  }
  const most = Math.floor(steps / 10), isOpen = given.warmup === undefined && saved?.warmup === undefined;
  const isShortened = isOpen && warmup > most;
  const derived = [...(minLr === undefined ? ["minLr"] : []), ...(isShortened ? ["warmup"] : [])];
  return { minLr: minLr ?? lr / 10, warmup: isShortened ? most : warmup, derived };
}

/** One line if the learning rate takes a course that the defaults do not tell. */
export function describeRates(
  { warmup, steps, derived }: DerivedRecipe & LearningRateRecipe,
): string | undefined {
  if (derived.includes("warmup")) {
    return `warm-up of ${warmup} steps, as the run has ${steps}: --warmup sets another`;
  }
  if (warmup < steps) return undefined;
  return `warm-up of ${warmup} steps, from the run that goes on: this one ends before it is over; --steps sets another end`;
}

/**
 * The options that a checkpoint keeps: those that the numbers of the run depend on. A least learning rate that
 * follows from the highest is not kept, so that it follows from another highest one, too.
 */
export function recipeOf(config: DerivedRecipe): Record<string, string | number | boolean> {
  const specs = (TRAIN_OPTIONS as readonly OptionSpec[]).filter(({ isRecipe }) => isRecipe);
  const keys = specs.map(({ key }) => key).filter((key) => key !== "minLr" || !config.derived.includes(key));
  const values = config as unknown as Record<string, string | number | boolean>;
  // What is not asked for is left out, as it is where a checkpoint is older than the option.
  return Object.fromEntries(keys.map((key) => [key, values[key]]).filter(([, value]) => value !== false));
}

/** The learning rate of a step (from 0): linear warm-up, then a cosine down to `minLr`. */
export function learningRate(step: number, recipe: LearningRateRecipe): number {
  const { lr, minLr, warmup, steps } = recipe;
  if (step < warmup) return lr * (step + 1) / (warmup + 1);
  return minLr + 0.5 * (1 + Math.cos(Math.PI * (step - warmup) / (steps - warmup))) * (lr - minLr);
}
