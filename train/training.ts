/**
 * A run that has been started, and how it goes on when its GPU fails.
 *
 * @module
 */
import { type Fault, launch, type WorkerPool, type World } from "../actors/mod.ts";
import type { WaitOptions } from "../collectives/mod.ts";
import type { Mesh } from "../strategies/mod.ts";
import { EventQueue } from "./event_queue.ts";
import { rescueRun, savedError } from "./gpu_rescue.ts";
import { type TrainJob, type TrainResult, usesGpu } from "./config/mod.ts";
import { LossHash, type StepRecord, Throughput, type TrainEvent, withLastCheckpoint } from "./step/mod.ts";
import { OutFolder } from "../checkpoint/mod.ts";
import type { RunPlan } from "./plan/mod.ts";

/** What takes as long as the disk, or the reader of the run's output, wants. */
export const UNTIMED_PHASES: readonly string[] = ["checkpoint", "report"];

/** A job that is checked and ready to start. */
export interface PreparedTraining {
  /** What every rank is sent. */
  readonly job: TrainJob;
  /** What people call the kind of model; undefined for one of one's own that is of no family. */
  readonly familyName: string | undefined;
  /** Which ranks there are, and their groups. */
  readonly mesh: Mesh;
  /** What every rank will hold and move. */
  readonly plan: RunPlan;
  /** One line on the data, and one on the kernels if they were chosen. */
  readonly statement: string;
  /** Workers to use again. */
  readonly pool: WorkerPool | undefined;
  /** Whether the run goes on with wasm if its GPU fails: `--kernels auto`. */
  readonly mayFallBack: boolean;
  /** How ranks wait for each other, for tests. */
  readonly wait?: WaitOptions;
  /** A planned failure, for tests. */
  readonly fault: Fault | undefined;
}

/**
 * A run that has been started. Iterating it gives the record of each step; leaving the loop early stops the run.
 */
export class Training implements AsyncIterable<StepRecord> {
  /** What the run was started from. */
  readonly prepared: PreparedTraining;
  /** How the run ended; rejects if a device failed. */
  readonly result: Promise<TrainResult>;
  readonly #events = new EventQueue<TrainEvent>();
  readonly #hash: LossHash;
  readonly #throughput = new Throughput();
  #world: World;
  /** Steps that were reported. */
  #finished: number;
  #checkpoint: string | undefined;

  /** Starts the workers at once; `folder` is held until the run has ended. */
  constructor(prepared: PreparedTraining, folder?: OutFolder) {
    const { job } = prepared;
    this.prepared = prepared;
    this.#hash = new LossHash(job.start.losses);
    this.#finished = job.start.step;
    this.#world = this.#launch(job, prepared.fault);
    // Before anybody hears of the end: the next run may want the folder.
    this.result = this.#run().finally(() => folder?.release());
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

  #launch(job: TrainJob, fault?: Fault): World {
    const { mesh, pool, wait } = this.prepared;
    const program = job.config.evalOnly ? "./step/evaluate_program.ts" : "./step/train_program.ts";
    return launch({
      program: new URL(program, import.meta.url).href,
      config: job,
      topology: mesh.topology(),
      deviceMemoryBytes: job.config.deviceMemoryBytes,
      wait: { untimedPhases: UNTIMED_PHASES, ...wait },
      onReport: (_rank, event) => this.#take(event as TrainEvent),
      // A worker opens the GPU once: it cannot be used again.
      pool: usesGpu(job.config) ? undefined : pool,
      fault,
    });
  }

  async #run(): Promise<TrainResult> {
    const { job, mayFallBack } = this.prepared;
    try {
      return this.#finish((await this.#world.done)[0] as TrainResult);
    } catch (error) {
      const progress = { job, finished: this.#finished, checkpoint: this.#checkpoint, mayFallBack };
      const rescue = await rescueRun(error, progress);
      if (rescue === undefined) throw withLastCheckpoint(error, this.#checkpoint);
      if (rescue.job !== undefined) {
        this.#events.push({ type: "notice", message: rescue.notice });
        this.#world = this.#launch(rescue.job);
        const [first] = await this.#world.done;
        if (rescue.goesOn) return this.#finish(first as TrainResult);
      }
      throw savedError(error, this.#checkpoint);
    }
  }

  #take(event: TrainEvent): void | Promise<void> {
    if (event.type === "checkpoint") this.#checkpoint = event.path;
    if (event.type === "step") {
      // Computed again after a failure: it was reported.
      if (event.step < this.#finished) return;
      this.#finished = event.step + 1;
      this.#hash.add(event.loss);
      this.#throughput.add(event.tokens, event.stepMs);
    }
    return this.#events.push(event);
  }

  #finish(result: TrainResult): TrainResult {
    const tokensPerSecond = this.#throughput.tokensPerSecond(), lossHash = this.#hash.digest();
    this.#events.push({ type: "done", steps: result.step, tokensPerSecond, lossHash });
    this.#events.end();
    return result;
  }
}

/**
 * Starts a prepared run; holds its output folder until the run ends, and takes it away if the run leaves it empty.
 *
 * @throws {UsageError} If the folder cannot be used.
 */
export async function startTraining(prepared: PreparedTraining): Promise<Training> {
  const { job } = prepared, { out } = job.config;
  return new Training(prepared, out === undefined ? undefined : await OutFolder.open(out, job));
}
