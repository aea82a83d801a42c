/**
 * A training run's configuration: what was given, completed by defaults, and checked.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import type { Precision } from "../../kernels/mod.ts";
import type { ModelSizes } from "../../models/mod.ts";
import type { Recompute } from "../../nn/mod.ts";
import type { ZeroStage } from "../../strategies/mod.ts";
import { checkCombination } from "./combinations.ts";
import { flagOf, keyOf, unknownOption } from "./option_names.ts";
import { type GivenOptions, type OptionSpec, TRAIN_OPTIONS } from "./options.ts";
import { parseOption } from "./parse_option.ts";
import { type LearningRateRecipe, settleRates } from "./recipe.ts";

/** A complete and checked configuration. */
export interface TrainConfig {
  /** Path of the data; undefined for Moby Dick. */
  readonly data: string | undefined;
  /** Type of the tokens of a file that does not say; undefined for uint16. */
  readonly dtype: "uint16" | "uint32" | undefined;
  /** Whether a run goes on with data that are not those of its checkpoint. */
  readonly dataChanged: boolean;
  /** Undefined: what the data or the model say. */
  readonly vocab: number | undefined;
  /** Hugging Face GPT-2 directory to start from. */
  readonly init: string | undefined;
  /** Checkpoint to go on from. */
  readonly resume: string | undefined;
  /** Folder of the checkpoints; undefined writes none. */
  readonly out: string | undefined;
  /** Whether what another run has left in `out` and `log` is removed. */
  readonly overwrite: boolean;
  /** Transformer blocks. */
  readonly layers: number;
  /** Attention heads; divides `embed`. */
  readonly heads: number;
  /** Width of the model. */
  readonly embed: number;
  /** Tokens of a sequence. */
  readonly context: number;
  /** Sequences of a step, over all devices. */
  readonly batch: number;
  /** Sequences of one forward pass of one device. */
  readonly microBatch: number;
  /** Optimizer steps in all. */
  readonly steps: number;
  /** Highest learning rate. */
  readonly lr: number;
  /** Learning rate at the end. */
  readonly minLr: number;
  /** Names of options of the recipe that follow from others here, as nobody gave them. */
  readonly derived: readonly string[];
  /** Steps of linear warm-up. */
  readonly warmup: number;
  /** Decoupled weight decay of tensors of two or more dimensions. */
  readonly weightDecay: number;
  /** Largest gradient norm; 0 does not clip. */
  readonly gradClip: number;
  /** AdamW's decay of the first moment. */
  readonly beta1: number;
  /** AdamW's decay of the second moment. */
  readonly beta2: number;
  /** Seed of all random numbers. */
  readonly seed: number;
  /** Order of the sequences. */
  readonly order: "shuffle" | "sequential";
  /** Devices, each with a replica. */
  readonly dp: number;
  /** Experts per layer; 0 for a dense model. */
  readonly experts: number;
  /** Experts of a token. */
  readonly topKExperts: number;
  /** Room of an expert, in fair shares. */
  readonly capacityFactor: number;
  /** Devices that share out the tokens of each sequence. */
  readonly cp: number;
  /** Devices that share out the experts; each has sequences of its own. */
  readonly ep: number;
  /** Devices that share every layer. */
  readonly tp: number;
  /** Sequence parallelism: rows between split layers are spread over the tp group. */
  readonly sp: boolean;
  /** Pipeline stages. */
  readonly pp: number;
  /** What the data axis shards. */
  readonly zero: ZeroStage;
  /** Order of the passes of a pipeline: a name, or a file. */
  readonly schedule: string;
  /** Stages per device of the interleaved schedule. */
  readonly virtualStages: number;
  /** How layers are split over stages. */
  readonly partition: string;
  /** Activations that are computed again in the backward pass instead of kept. */
  readonly recompute: Recompute;
  /** Whether sums have an order, and so bits, that no layout changes. */
  readonly numerics: "fast" | "exact";
  /** Element type of weights, activations and gradients; the optimizer's masters and sums are float32 always. */
  readonly precision: Precision;
  /** Whether the loss is multiplied by a factor that follows the gradients. */
  readonly lossScale: "none" | "dynamic";
  /** What devices compute with: a name for all, or one for each rank, joined by commas. */
  readonly kernels: string;
  /** Cap of the memory of one device. */
  readonly deviceMemoryBytes: number;
  /** Steps between evaluations; 0 = never. */
  readonly evalEvery: number;
  /** Only an evaluation; nothing is trained or written. */
  readonly evalOnly: boolean;
  /** Steps between checkpoints; 0 = at the end only. */
  readonly saveEvery: number;
  /** Newest checkpoints that are kept; 0 = all. */
  readonly keep: number;
  /** Steps between comparisons of ranks that hold the same parameters; 0 = never. */
  readonly checkReplicas: number;
  /** File of the metrics. */
  readonly log: string | undefined;
  /** Whether metrics go to standard output. */
  readonly json: boolean;
}

/** What a configuration depends on besides the options. */
export interface ConfigContext {
  /** Cores that are available. */
  readonly numCores: number;
  /** Sizes of the model of `--init` or `--resume`. */
  readonly sizes?: ModelSizes;
  /** Options of the run that is resumed (`trainer_state.json`). */
  readonly saved?: Readonly<Record<string, string | number>>;
}

type Values = Record<string, string | number | boolean | undefined>;

/**
 * Completes and checks options. What is given goes before what the model or the resumed run say, and that goes
 * before the defaults.
 *
 * @throws {UsageError} One line: what is wrong, what is allowed.
 */
export function resolveConfig(options: GivenOptions, context: ConfigContext): TrainConfig {
  const given = byKey(options);
  const values: Values = {};
  for (const spec of TRAIN_OPTIONS as readonly OptionSpec[]) {
    const preset = given[spec.key] ?? savedValue(spec, context) ?? spec.default;
    values[spec.key] = preset === undefined ? undefined : parseOption(spec, preset);
  }
  checkSizes(given, values, context.sizes);
  const batch = values.batch as number;
  const rates = settleRates(values as unknown as LearningRateRecipe, { given, saved: context.saved });
  const perReplica = ["tp", "pp", "ep", "cp"].reduce(
    (product, axis) => product * (values[axis] as number),
    1,
  );
  // Devices that share a GPU gain nothing by being many.
  const numDevices = values.kernels === "webgpu" ? 1 : context.numCores;
  values.dp ??= Math.max(1, Math.min(Math.floor(numDevices / perReplica), batch));
  values.microBatch ??= Math.ceil(batch / ((values.dp as number) * (values.ep as number)));
  // Parts of a sequence are summed before sequences are, and ranks of the context axis have parts.
  if (values.numerics === "exact" && (values.cp as number) > 1) values.microBatch = oneSequence(given);
  // The memory of an evaluation is planned for.
  if (values.evalOnly) values.evalEvery = 1;
  const { deviceMemory, ...rest } = values;
  const config = {
    ...rest,
    ...rates,
    deviceMemoryBytes: deviceMemory,
  } as unknown as TrainConfig;
  checkTogether(config);
  return config;
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

function savedValue(spec: OptionSpec, { sizes, saved }: ConfigContext): string | number | undefined {
  const size = sizes?.[spec.key as keyof ModelSizes];
  return size ?? (spec.isRecipe ? saved?.[spec.key] : undefined);
}

/** Sizes that are given must be those of the model that is loaded. */
function checkSizes(given: GivenOptions, values: Values, sizes: ModelSizes | undefined): void {
  if (sizes === undefined) return;
  for (const key of ["layers", "heads", "embed", "context", "vocab", "experts"] as const) {
    const { [key]: size = 0 } = sizes;
    if (given[key] === undefined || values[key] === size) continue;
    if (key === "context" && values.init !== undefined) {
      if ((values.context as number) < size) continue;
      throw new UsageError(
        `Cannot use --context ${given.context}: the model of --init has ${size} positions; use ${size} or less`,
      );
    }
    throw new UsageError(
      `Cannot use ${flagOf(key)} ${given[key]}: the model to load has ${size}; leave the option out`,
    );
  }
}

function checkTogether(config: TrainConfig): void {
  const { embed, heads, batch, dp, ep, microBatch, lr, minLr, init, resume, dataChanged, evalOnly, out } =
    config;
  if (embed % heads !== 0) {
    const divisors = Array.from({ length: Math.min(embed, 64) }, (_, i) => i + 1).filter((n) =>
      embed % n === 0
    );
    throw new UsageError(
      `Cannot use --heads ${heads}: it must divide --embed ${embed}, as ${
        divisors.slice(0, 10).join(", ")
      } do`,
    );
  }
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
