/**
 * A training run as a value: iterate it for its steps.
 *
 * @module
 */
import type { Fault, WorkerPool } from "../actors/mod.ts";
import { openSource, type Samples } from "../data/mod.ts";
import { UsageError } from "../files/mod.ts";
import {
  familyNamed,
  familyNames,
  familyOf,
  gptFamily,
  loadModel,
  type ModelFamily,
  modelOf,
  type ModelSizes,
} from "../models/mod.ts";
import type { ModelSpec } from "../nn/mod.ts";
import type { Degrees, Layout } from "../strategies/mod.ts";
import {
  checkGpu,
  describeRates,
  expandLayout,
  flagOf,
  type GivenOptions,
  keyOf,
  meshOf,
  type OptionValues,
  readConfigFile,
  resolveConfig,
  settleKernels,
  type TrainConfig,
  type TrainJob,
  withLayout,
} from "./config/mod.ts";
import type { StepRecord } from "./step/mod.ts";
import { checkMemory, planRun, type RemakeJob, settleLayout } from "./plan/mod.ts";
import { giveSpeedHint } from "./speed_hint.ts";
import {
  companionsOf,
  dataOf,
  loadRunData,
  loadStart,
  type StartingPoint,
  startOf,
} from "./starting_point.ts";
import { type PreparedTraining, startTraining } from "./training.ts";
import { settleTuning } from "./tuning.ts";

/** What {@link train} takes: the options of the command line by their camelCase names, and these. */
export interface TrainOptions extends Omit<OptionValues, "data" | "layout" | "model"> {
  /**
   * A model of a family (`gpt({...})`), the name of a family (`"llama"`), or the URL of a module whose default export builds
   * a model or is a family.
   */
  readonly model?: ModelSpec | string;
  /** Handed to the model module. */
  readonly modelConfig?: unknown;
  /** A path (.txt, .bin), or samples; without it Moby Dick. */
  readonly data?: string | Samples;
  /** How the run is spread over devices: `data(2, tensor(2))`, or its text. */
  readonly layout?: Layout | string;
  /** Degrees by axis, such as `{ dp: 2, tp: 2 }`: the options of these names. */
  readonly mesh?: Partial<Degrees>;
  /** Workers to use again, for several runs in one process; by default a run has its own. */
  readonly pool?: WorkerPool;
  /** Makes a device fail, for tests. */
  readonly fault?: Fault;
}

/**
 * Reads and checks everything that a run needs; starts and writes nothing.
 *
 * @throws {UsageError} If something cannot be used, or a device would need more than its memory.
 * @throws {GpuError} If there is no GPU for a device that is to use one.
 */
export async function prepareTraining(options: TrainOptions = {}): Promise<PreparedTraining> {
  const { prepared, remake } = await planTraining(options);
  await checkMemory(prepared.plan, prepared.job.config, remake);
  await checkGpu(prepared.job.config);
  return prepared;
}

/** A run that is planned, whether or not it fits the device memory. */
export interface PlannedTraining {
  /** As it would run. */
  readonly prepared: PreparedTraining;
  /** The same run with other options. */
  readonly remake: RemakeJob;
}

/**
 * As {@link prepareTraining}, but plans also what would not fit the device memory.
 *
 * @throws {UsageError} If something cannot be used.
 */
export async function planTraining(options: TrainOptions = {}): Promise<PlannedTraining> {
  const { model, modelConfig, data: samples, layout, mesh, pool, fault, ...rest } = options;
  const file = await readConfigFile(withLayout(rest, { layout, mesh })), asked = file.options;
  const from = await loadStart(asked),
    { loaded } = from,
    { own, named } = askedModel(model, modelConfig, loaded);
  const { data, given } = withData(from, samples, { ...await sizesOf(own), ...expandLayout(asked) });
  const numCores = navigator.hardwareConcurrency, saved = from.resumed?.options;
  const sizes = loaded?.family.sizes(loaded.config);
  const resolve = (changes: GivenOptions) =>
    resolveConfig({ ...given, ...changes }, { numCores, sizes, saved });
  const settled = await settleKernels(resolve({})), { kernels } = settled;
  const config = resolve({ kernels });
  const { loaded: read, identity } = await loadRunData(from, data, config), { vocab } = read;
  const start = { ...startOf(from, config), folder: from.resumed?.folder };
  const known = { family: loaded?.family ?? named, config: own?.config ?? loaded?.config };
  const { spec, family } = await settleModel(own, known, { ...config, vocab }, given);
  const companions = await companionsOf(from, config, read.spec);
  const tuned = await settleTuning(spec, start, from, config), parts = await loadModel(tuned.spec);
  const makeJob = async (config: TrainConfig): Promise<TrainJob> => {
    const source = openSource(read.spec, config), known = { ...config, vocab };
    const job = {
      ...await settleLayout(parts, source, known),
      model: tuned.spec,
      data: read.spec,
      identity,
      start: tuned.start,
      saved: config.out === undefined ? undefined : { ...tuned.saved, shardBytes: config.shardSize },
    };
    return family === undefined ? job : { ...job, companions };
  };
  const job = await makeJob(config);
  const prepared = {
    job,
    familyName: family?.name,
    mesh: meshOf(config),
    plan: await planRun(job),
    statement: [
      ...[...from.notes, tuned.statement, file.statement, read.statement, settled.statement],
      describeRates(config),
    ].filter((line) => line !== undefined).join("\n"),
    mayFallBack: settled.mayFallBack,
    ...{ pool, fault },
  };
  return { prepared, remake: (changes) => makeJob(resolve({ kernels, ...changes })) };
}

/** The data of a run, given or as its start says, and the options with what they say of it. */
function withData(
  from: StartingPoint,
  samples: TrainOptions["data"],
  asked: GivenOptions,
): { readonly data: TrainOptions["data"]; readonly given: GivenOptions } {
  const { data, dtype } = dataOf(from, {
    data: samples ?? asked.data as string | undefined,
    dtype: asked.dtype,
  });
  const given = {
    ...asked,
    ...(dtype === undefined ? {} : { dtype: dtype as string }),
    ...(typeof data === "string" ? { data } : {}),
  };
  return { data, given };
}

/** The model that is given, or the family that is named; neither if a directory says what it is, or nothing does. */
function askedModel(
  model: TrainOptions["model"],
  config: unknown,
  loaded: StartingPoint["loaded"],
): { readonly own?: ModelSpec; readonly named?: ModelFamily } {
  if (typeof model !== "string") return { own: model };
  const named = familyNamed(model);
  if (named === undefined) return { own: { module: moduleUrl(model), config } };
  if (loaded === undefined || loaded.family === named) return { named };
  throw new UsageError(
    `Cannot use --model ${named.modelType}: the model to load is of ${loaded.family.modelType}; leave the option out`,
  );
}

/** Sizes that a model of a family fixes, as options. */
async function sizesOf(model: ModelSpec | undefined): Promise<GivenOptions> {
  const family = model === undefined ? undefined : await familyOf(model);
  return { ...family?.sizes(model!.config) };
}

/** The model that is given, or one of a family, with the sizes of the configuration; by default a GPT. */
async function settleModel(
  own: ModelSpec | undefined,
  known: { readonly family: ModelFamily | undefined; readonly config: unknown },
  sizes: TrainConfig & { vocab: number },
  given: GivenOptions,
): Promise<{ readonly spec: ModelSpec; readonly family: ModelFamily | undefined }> {
  const family = own === undefined ? known.family ?? gptFamily(sizes) : await familyOf(own);
  if (family === undefined) return { spec: own!, family };
  const fixed = known.config === undefined ? undefined : family.sizes(known.config);
  const ownChoice = FAMILY_CHOICES.filter((key) => !isGiven(given, key)).map((key) => [key, fixed?.[key]]);
  const config = configureFamily(family, { ...sizes, ...Object.fromEntries(ownChoice) }, known.config);
  checkApplied(family, family.sizes(config), given, sizes);
  return { spec: modelOf(family, config), family };
}

function configureFamily(family: ModelFamily, sizes: ModelSizes, known: unknown): unknown {
  try {
    return family.configure(sizes, known);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new UsageError(`Cannot train a ${family.name} of these sizes: ${error.message}`);
    }
    throw error;
  }
}

/** Whether an option is given, under either of its names. */
function isGiven(given: GivenOptions, key: string): boolean {
  return Object.entries(given).some(([name, value]) => keyOf(name) === key && value !== undefined);
}

/** Room of experts and whether the head is the table: up to a model or its family, unless they are given. */
const FAMILY_CHOICES = ["capacityFactor", "tied"] as const;

/** Sizes that not every family has. */
const OWN_SIZES = ["kvHeads", "headDim", "inner", "tied"] as const;

/** Refuses sizes that the family has not heard of: it would build another model. */
function checkApplied(
  { name }: ModelFamily,
  applied: ModelSizes,
  given: GivenOptions,
  sizes: TrainConfig,
): void {
  for (const key of OWN_SIZES) {
    if (!isGiven(given, key) || applied[key] === sizes[key]) continue;
    throw new UsageError(
      `Cannot use ${flagOf(key)} ${sizes[key]}: a ${name} has no such size; leave the option out`,
    );
  }
}

/** Devices load the model by its URL: they do not know which folder a path would start from. */
function moduleUrl(model: string): string {
  if (URL.canParse(model)) return model;
  throw new UsageError(
    `Cannot use model ${model}: families are ${familyNames().join(", ")}; a module of one's own is a URL, ` +
      `new URL("${model}", import.meta.url).href`,
  );
}

/**
 * Trains a model on worker actors.
 *
 * @example A GPT on two devices
 * ```ts
 * import { data, gpt, train } from "@tessera/tessera";
 *
 * for await (const step of train({
 *   model: gpt({ layers: 1, heads: 2, embed: 32, context: 16 }),
 *   layout: data(2),
 *   steps: 3,
 * })) {
 *   console.log(step.loss, step.tokensPerSecond);
 * }
 * ```
 *
 * @throws {UsageError} If an option, a file or the data cannot be used; nothing has been started or written then.
 * @throws {DeviceError} If a device fails; the message names the first cause.
 */
export async function* train(options: TrainOptions = {}): AsyncGenerator<StepRecord> {
  giveSpeedHint();
  yield* await startTraining(await prepareTraining(options));
}
