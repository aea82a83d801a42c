import type { DeviceView } from "../../actors/mod.ts";
import type { Source } from "../../data/mod.ts";
import type { Backend } from "../../kernels/mod.ts";
import { sumLoss } from "../../nn/mod.ts";
import type { Instruction, Pipeline, StagePass, StageRunner } from "../../strategies/mod.ts";
import type { TrainConfig } from "../config/mod.ts";
import type { RecordedPass, TrainStage } from "../stage/mod.ts";
import { fillEvaluation, type Sampler, samplerOf, sharesOf } from "./rank_samples.ts";

/** Which samples a pass works on. */
type Samples = { readonly step: number } | { readonly evaluation: number };

/** What the passes of a rank are made of. */
export interface PassRunnerParts {
  /** Where the rank stands. */
  readonly device: DeviceView;
  /** Reads losses. */
  readonly backend: Backend;
  /** How the batch is shared out. */
  readonly config: TrainConfig;
  /** Samples, or the parts of them that this rank sees. */
  readonly source: Source;
  /** Whose schedule says which pass comes next. */
  readonly pipeline: Pipeline;
  /** Recordings, by number of the stage. */
  readonly stages: ReadonlyMap<number, TrainStage>;
}

/** Runs what a schedule says: finds the recording of an instruction, fills its samples, adds up its losses. */
export class PassRunner implements StageRunner {
  readonly #parts: PassRunnerParts;
  /** Which of the ranks with sequences of their own this one is. */
  readonly #sampler: Sampler;
  #samples: Samples = { step: 0 };
  #lossScale = 1;
  #lossSum = 0;
  #dropped = 0;

  /** Runs nothing yet. */
  constructor(parts: PassRunnerParts) {
    this.#parts = parts;
    this.#sampler = samplerOf(parts.device.rank, parts.config);
  }

  /** Sum of the losses of this rank's rows since the step, or the evaluation, has begun. */
  get lossSum(): number {
    return this.#lossSum;
  }

  /** Choices of full experts in this rank's part of the step. */
  get droppedChoices(): number {
    return this.#dropped;
  }

  /** Runs the forward and backward passes of a step. */
  async train(step: number, lossScale: number): Promise<void> {
    this.#samples = { step };
    this.#lossScale = lossScale;
    this.#lossSum = this.#dropped = 0;
    await this.#parts.pipeline.run(this);
  }

  /** Runs the forward passes over the samples that are held out. */
  async evaluate(): Promise<void> {
    const { source, config, pipeline } = this.#parts, size = this.#sampler.size * config.microBatch;
    this.#lossSum = 0;
    for (let round = 0; round < Math.ceil(source.numEvaluation / size); round++) {
      this.#samples = { evaluation: round };
      await pipeline.runForward(this, 0);
    }
  }

  /** The recording for an instruction; a forward pass gets its samples. */
  prepare({ kind, stage: number, microBatch }: Instruction, slot: number): StagePass | undefined {
    const { stages, source, config, pipeline } = this.#parts,
      stage = stages.get(number)!,
      samples = this.#samples;
    if ("evaluation" in samples) {
      const pass = stage.pass(slot, config.microBatch);
      fillEvaluation({ stage, pass, source }, this.#sampler, samples.evaluation);
      return pass;
    }
    const { m } = pipeline.schedule, { start, size } = sharesOf(config, this.#sampler, { m, microBatch });
    if (size === 0) return this.#skip(kind, stage, microBatch);
    const pass = stage.pass(slot, size);
    if (kind === "F") this.#fillTraining(stage, pass, samples.step, start);
    return pass;
  }

  /** Adds up the losses of the last stage. */
  onForward(pass: StagePass): void {
    const { loss, tape } = pass as RecordedPass, { device, backend } = this.#parts;
    if (device.group("tp").index > 0) return;
    for (const layer of tape.auxiliary) this.#dropped += layer.load().dropped.reduce((a, b) => a + b, 0);
    if (loss !== undefined) this.#lossSum += sumLoss(backend, loss);
  }

  /** Publishes where this rank is. */
  enter({ kind, stage, microBatch }: Instruction): void {
    const samples = this.#samples, { device, stages } = this.#parts;
    if ("step" in samples) device.enter(samples.step, kind === "F" ? "forward" : "backward");
    this.#beginPass(stages.get(stage)!, microBatch);
  }

  #beginPass({ store }: TrainStage, microBatch: number): void {
    store.beginPass(microBatch === this.#parts.pipeline.schedule.m - 1);
  }

  /** There are no samples: the sums over other ranks are still to be joined. */
  #skip(kind: Instruction["kind"], stage: TrainStage, microBatch: number): undefined {
    this.#beginPass(stage, microBatch);
    if (kind === "B" || kind === "W") stage.store.skipPass();
  }

  #fillTraining(stage: TrainStage, pass: RecordedPass, step: number, start: number): void {
    stage.fill(pass, (i, views) => this.#parts.source.readTraining(step, start + i, i, views));
    pass.tape.lossScale = this.#lossScale;
    if (pass.loss !== undefined) pass.loss.scale = this.#lossScale;
  }
}
