/**
 * A training run as a value: iterate it for its steps.
 *
 * @module
 */
import { type Fault, launch, type WorkerPool, type World } from "../actors/mod.ts";
import { type GptConfig, type ModelSpec, numElements } from "../nn/mod.ts";
import type { Mesh } from "../strategies/mod.ts";
import { checkResume, gptOf, isGpt, loadGpt, loadRun } from "./checkpoint.ts";
import { prepareOut, removeIfEmpty } from "./checkpoint_files.ts";
import { type GivenOptions, resolveConfig, type TrainConfig } from "./config.ts";
import { EventQueue } from "./event_queue.ts";
import type { JobStart, Snapshot, TrainEvent, TrainJob, TrainResult } from "./job.ts";
import { LossHash, type StepRecord, Throughput } from "./metrics.ts";
import { meshOf } from "./layout_check.ts";
import { loadData, type Samples } from "./load_data.ts";
import { loadModel, type ModelParts, parameterShapes } from "./model_parts.ts";
import { checkMemory, type RemakeJob } from "./memory_check.ts";
import type { GptSizes } from "./mixture_files.ts";
import type { OptionKey } from "./options.ts";
import { sharedFloats } from "./shared.ts";
import { planRun, type RunPlan } from "./plan_run.ts";
import { settleLayout } from "./settle_layout.ts";
import { openSource } from "./source.ts";
import { giveSpeedHint } from "./speed_hint.ts";

/** What {@link train} takes: the options of the command line by their camelCase names, and these. */
export type TrainOptions = { readonly [key in Exclude<OptionKey, "data">]?: string | number | boolean } & {
  /** A GPT (`gpt({...})`), or the URL of a module whose default export builds a model. */
  readonly model?: ModelSpec | string;
  /** Handed to the model module. */
  readonly modelConfig?: unknown;
  /** A path (.txt, .bin), or samples; without it Moby Dick. */
  readonly data?: string | Samples;
  /** Degrees by axis, such as `{ dp: 2 }`. */
  readonly mesh?: { readonly dp?: number };
  /** Workers to use again, for several runs in one process; by default a run has its own. */
  readonly pool?: WorkerPool;
  /** Makes a device fail, for tests. */
  readonly fault?: Fault;
};

/** A job that is checked and ready to start. */
export interface PreparedTraining {
  /** What every rank is sent. */
  readonly job: TrainJob;
  /** Which ranks there are, and their groups. */
  readonly mesh: Mesh;
  /** What every rank will hold and move. */
  readonly plan: RunPlan;
  /** One line on the data. */
  readonly statement: string;
  /** Workers to use again. */
  readonly pool: WorkerPool | undefined;
  /** A planned failure, for tests. */
  readonly fault: Fault | undefined;
}

/**
 * Reads and checks everything that a run needs; starts and writes nothing.
 *
 * @throws {UsageError} If something cannot be used, or a device would need more than its memory.
 */
export async function prepareTraining(options: TrainOptions = {}): Promise<PreparedTraining> {
  const { prepared, remake } = await planTraining(options), { job, plan } = prepared;
  await checkMemory(plan, job.config, remake);
  const snapshot = job.config.out === undefined ? undefined : makeSnapshot(await loadModel(job.model));
  return { ...prepared, job: { ...job, snapshot } };
}

/** A run that is planned, whether or not it fits the device memory. */
export interface PlannedTraining {
  /** Its job has no place for checkpoints yet. */
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
  const { model, modelConfig, data, mesh, pool, fault, ...rest } = options;
  const resumed = typeof rest.resume === "string" ? await loadRun(rest.resume) : undefined;
  const init = typeof rest.init === "string" ? await loadGpt(rest.init) : undefined;
  const given: GivenOptions = {
    ...sizesOf(model),
    ...rest,
    ...(mesh?.dp === undefined ? {} : { dp: mesh.dp }),
    ...(typeof data === "string" ? { data } : {}),
  };
  const sizes = resumed?.sizes ?? init?.sizes, numCores = navigator.hardwareConcurrency;
  const resolve = (changes: GivenOptions) =>
    resolveConfig({ ...given, ...changes }, { numCores, sizes, saved: resumed?.options });
  const config = resolve({});
  if (resumed !== undefined) checkResume(resumed, config);
  const loaded = await loadData(data, config);
  const start: JobStart = resumed?.start ?? { step: 0, losses: [], weights: init?.weights };
  const spec = modelSpec({ model, config: modelConfig, sizes }, { ...config, vocab: loaded.vocab });
  const parts = await loadModel(spec);
  const makeJob = async (config: TrainConfig): Promise<TrainJob> => {
    const source = openSource(loaded.spec, config), known = { ...config, vocab: loaded.vocab };
    return { ...await settleLayout(parts, source, known), model: spec, data: loaded.spec, start };
  };
  const job = await makeJob(config);
  const prepared = {
    job,
    mesh: meshOf(config),
    plan: await planRun(job),
    statement: loaded.statement,
    ...{ pool, fault },
  };
  return { prepared, remake: (changes) => makeJob(resolve(changes)) };
}

/** Memory for a checkpoint, in which every rank writes its part. */
function makeSnapshot(parts: ModelParts): Snapshot {
  const shapes = parameterShapes(parts);
  const tensors = () => new Map([...shapes].map(([name, shape]) => [name, sharedFloats(numElements(shape))]));
  return { shapes, weights: tensors(), m: tensors(), v: tensors() };
}

/** Sizes that a GPT spec fixes, as options. */
function sizesOf(model: TrainOptions["model"]): GivenOptions {
  if (model === undefined || typeof model === "string" || !isGpt(model)) return {};
  const { layers, heads, embed, context, vocab, experts, topKExperts, capacityFactor } = model
    .config as GptConfig;
  return { layers, heads, embed, context, vocab, experts, topKExperts, capacityFactor };
}

/** The model that is given, or a GPT of the configuration; `sizes` are those of a model that is loaded. */
function modelSpec(
  { model, config, sizes }: { model: TrainOptions["model"]; config: unknown; sizes: GptSizes | undefined },
  resolved: TrainConfig & { vocab: number },
): ModelSpec {
  if (typeof model === "string") return { module: model, config };
  if (model !== undefined && !isGpt(model)) return model;
  return gptOf(resolved, model === undefined ? sizes : model.config as GptConfig);
}

/**
 * A run that has been started. Iterating it gives the record of each step; leaving the loop early stops the run.
 */
export class Training implements AsyncIterable<StepRecord> {
  /** What the run was started from. */
  readonly prepared: PreparedTraining;
  /** How the run ended; rejects if a device failed. */
  readonly result: Promise<TrainResult>;
  readonly #world: World;
  readonly #events = new EventQueue<TrainEvent>();
  readonly #hash: LossHash;
  readonly #throughput = new Throughput();

  /** Starts the workers at once; its output folder must be ready (see {@link startTraining}). */
  constructor(prepared: PreparedTraining) {
    const { job, mesh, pool, fault } = prepared;
    this.prepared = prepared;
    this.#hash = new LossHash(job.start.losses);
    this.#world = launch({
      program: new URL("./train_program.ts", import.meta.url).href,
      config: job,
      topology: mesh.topology(),
      deviceMemoryBytes: job.config.deviceMemoryBytes,
      onReport: (_rank, event) => this.#events.push(this.#count(event as TrainEvent)),
      ...{ pool, fault },
    });
    this.result = this.#world.done.then(
      ([first]) => this.#finish(first as TrainResult),
      async (error) => {
        // Before anybody hears of the failure: an empty folder would look like a run.
        if (job.config.out !== undefined) await removeIfEmpty(job.config.out);
        throw error;
      },
    );
    this.result.catch((error) => this.#events.fail(error));
  }

  /** Asks all devices to stop after the current step; a checkpoint is written if the run has an `out`. */
  stop(): void {
    this.#world.requestStop();
  }

  /** Everything that the run reports, in order; ends with the `done` record. */
  events(): AsyncIterable<TrainEvent> {
    return this.#events;
  }

  /** The steps of the run. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StepRecord> {
    let isComplete = false;
    try {
      for await (const event of this.#events) if (event.type === "step") yield event;
      isComplete = true;
    } finally {
      if (!isComplete) {
        this.stop();
        this.#events.drain();
        await this.result.catch(() => {});
      }
    }
  }

  #count(event: TrainEvent): TrainEvent {
    if (event.type === "step") {
      this.#hash.add(event.loss);
      this.#throughput.add(event.tokens, event.stepMs);
    }
    return event;
  }

  #finish(result: TrainResult): TrainResult {
    const tokensPerSecond = this.#throughput.tokensPerSecond(), lossHash = this.#hash.digest();
    this.#events.push({ type: "done", steps: result.step, tokensPerSecond, lossHash });
    this.#events.end();
    return result;
  }
}

/** Starts a prepared run; makes its output folder ready first, and takes it away again if the run leaves it empty. */
export async function startTraining(prepared: PreparedTraining): Promise<Training> {
  const { out } = prepared.job.config;
  if (out !== undefined) await prepareOut(out);
  return new Training(prepared);
}

/**
 * Trains a model on worker actors.
 *
 * @example A GPT on a text file, on two devices
 * ```ts ignore
 * import { gpt, train } from "@tessera/tessera";
 *
 * for await (const step of train({
 *   model: gpt({ layers: 4, heads: 4, embed: 128, context: 64 }),
 *   data: "novel.txt",
 *   mesh: { dp: 2 },
 *   steps: 500,
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
