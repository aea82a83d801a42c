/**
 * A training run's configuration: what was given, completed by defaults, and checked.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import type { ModelSizes } from "../../models/mod.ts";
import { checkCombination } from "./combinations.ts";
import { flagOf, keyOf, unknownOption } from "./option_names.ts";
import type { SettledOptions } from "./option_types.ts";
import { type OptionSpec } from "./option_spec.ts";
import { type GivenOptions, TRAIN_OPTIONS } from "./options.ts";
import { expandLayout } from "./layout_option.ts";
import { parseOption } from "./parse_option.ts";
import { settleRates } from "./recipe.ts";

/**
 * A complete and checked configuration: the options of `TRAIN_OPTIONS`, whose help says what each is, and what
 * follows.
 */
export interface TrainConfig
  extends Omit<SettledOptions, "config" | "layout" | "deviceMemory" | "dp" | "microBatch" | "minLr"> {
  /** Devices along the data axis, each with a replica. */
  readonly dp: number;
  /** Sequences of one forward pass of one device. */
  readonly microBatch: number;
  /** Learning rate at the end. */
  readonly minLr: number;
  /** Names of options of the recipe that follow from others here, as nobody gave them. */
  readonly derived: readonly string[];
  /** Cap of the memory of one device. */
  readonly deviceMemoryBytes: number;
}

/** What a configuration depends on besides the options. */
export interface ConfigContext {
  /** Cores that are available. */
  readonly numCores: number;
  /** Sizes of the model of `--init` or `--resume`. */
  readonly sizes?: ModelSizes;
  /** Options of the run that is resumed (`trainer_state.json`). */
  readonly saved?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Completes and checks options. What is given goes before what the model or the resumed run say, and that goes
 * before the defaults.
 *
 * @throws {UsageError} One line: what is wrong, what is allowed.
 */
export function resolveConfig(options: GivenOptions, context: ConfigContext): TrainConfig {
  const given = expandLayout(byKey(options)), settled = settleOptions(given, context);
  checkSizes(given, settled, context.sizes);
  const { config: _config, layout: _layout, deviceMemory: deviceMemoryBytes, ...rest } = settled;
  const { batch, tp, pp, ep, cp, kernels, numerics, evalOnly } = rest;
  // Devices that share a GPU gain nothing by being many.
  const numDevices = kernels === "webgpu" ? 1 : context.numCores;
  const dp = rest.dp ?? Math.max(1, Math.min(Math.floor(numDevices / (tp * pp * ep * cp)), batch));
  // Parts of a sequence are summed before sequences are, and ranks of the context axis have parts.
  const isSplit = numerics === "exact" && cp > 1;
  const microBatch = isSplit ? oneSequence(given) : rest.microBatch ?? Math.ceil(batch / (dp * ep));
  const config: TrainConfig = {
    ...rest,
    ...settleRates(rest, { given, saved: context.saved }),
    ...{ dp, microBatch, deviceMemoryBytes },
    // The memory of an evaluation is planned for.
    evalEvery: evalOnly ? 1 : rest.evalEvery,
  };
  checkTogether(config);
  return config;
}

/** Every option, as it is given, known of the model or the run, or by default. */
function settleOptions(given: GivenOptions, context: ConfigContext): SettledOptions {
  const entries = (TRAIN_OPTIONS as readonly OptionSpec[]).map((spec) => {
    const value = given[spec.key] ?? savedValue(spec, context) ?? spec.default;
    return [spec.key, value === undefined ? undefined : parseOption(spec, value)];
  });
  return Object.fromEntries(entries) as SettledOptions;
}

/** The micro-batch of a context axis in exact numerics. */
function oneSequence({ microBatch = 1 }: GivenOptions): number {
  if (Number(microBatch) === 1) return 1;
  throw new UsageError(
    `Cannot use --micro-batch ${microBatch} with --cp and --numerics exact: ranks sum parts of one sequence before the next; ` +
      `use --micro-batch 1, or --numerics fast`,
  );
}

function byKey(options: GivenOptions): GivenOptions {
  const known = TRAIN_OPTIONS.map((spec) => spec.key as string);
  const entries = Object.entries(options).map(([name, value]) => {
    const key = keyOf(name);
    if (!known.includes(key)) throw unknownOption(flagOf(key), known.map(flagOf));
    return [key, value];
  });
  return Object.fromEntries(entries);
}

function savedValue(
  spec: OptionSpec,
  { sizes, saved }: ConfigContext,
): string | number | boolean | undefined {
  const size = sizes?.[spec.key as keyof ModelSizes];
  return size ?? (spec.isRecipe ? saved?.[spec.key] : undefined);
}

/** Options that a model to load fixes. */
const SIZES = [
  ...["layers", "heads", "kvHeads", "headDim", "embed", "inner"] as const,
  ...["context", "vocab", "tied", "experts"] as const,
];

/** Sizes that are given must be those of the model that is loaded. */
function checkSizes(given: GivenOptions, values: SettledOptions, sizes: ModelSizes | undefined): void {
  if (sizes === undefined) return;
  for (const key of SIZES) {
    const { [key]: size = 0 } = sizes;
    if (given[key] === undefined || values[key] === size) continue;
    if (key === "context" && values.init !== undefined) {
      if (values.context < Number(size)) continue;
      throw new UsageError(
        `Cannot use --context ${given.context}: the model of --init has ${size} positions; use ${size} or less`,
      );
    }
    throw new UsageError(
      `Cannot use ${flagOf(key)} ${given[key]}: the model to load has ${size}; leave the option out`,
    );
  }
}

function checkHeads({ embed, heads, headDim }: TrainConfig): void {
  if (headDim === undefined && embed % heads !== 0) {
    const divisors = Array.from({ length: Math.min(embed, 64) }, (_, i) => i + 1).filter((n) =>
      embed % n === 0
    );
    throw new UsageError(
      `Cannot use --heads ${heads}: it must divide --embed ${embed}, as ${
        divisors.slice(0, 10).join(", ")
      } do`,
    );
  }
}

function checkTogether(config: TrainConfig): void {
  const {
    batch,
    dp,
    ep,
    microBatch,
    lr,
    minLr,
    init,
    resume,
    dataChanged,
    evalOnly,
    out,
  } = config;
  checkHeads(config);
  if (dp * ep > batch) {
    const axes = ep === 1 ? `--dp ${dp}` : `--dp ${dp} and --ep ${ep}`;
    throw new UsageError(
      `Cannot use --batch ${batch} with ${axes}: every device needs a sequence; ` +
        `use --batch ${dp * ep} or more, or --dp ${Math.floor(batch / ep)} or less`,
    );
  }
  const local = Math.ceil(batch / (dp * ep));
  if (microBatch > local) {
    throw new UsageError(
      `Cannot use --micro-batch ${microBatch}: a device has ${local} of the ${batch} sequences; use ${local} or less`,
    );
  }
  checkCombination(config);
  if (minLr > lr) throw new UsageError(`Cannot use --min-lr ${minLr}: it must be at most --lr ${lr}`);
  if (init !== undefined && resume !== undefined) {
    throw new UsageError("Cannot use --init with --resume: a checkpoint has its own weights; leave one out");
  }
  if (dataChanged && resume === undefined) {
    throw new UsageError(
      "Cannot use --data-changed without --resume: only a run that goes on has data to change",
    );
  }
  if (!evalOnly) return;
  if ((init ?? resume) === undefined) {
    throw new UsageError("Cannot use --eval-only without a model: add --init DIR or --resume DIR");
  }
  if (out !== undefined) throw new UsageError("Cannot use --eval-only with --out: it writes nothing");
}
