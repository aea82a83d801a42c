import type { DeviceView } from "../../actors/mod.ts";
import type { Group } from "../../collectives/mod.ts";
import { partOf, type Source } from "../../data/mod.ts";
import { type Backend, bf16Backend, createBackend, onnx } from "../../kernels/mod.ts";
import { AdamW, type OptimizerTarget, type Parameter, sumLoss } from "../../nn/mod.ts";
import {
  contextPositions,
  GradientNorm,
  type Instruction,
  type ParameterStore,
  type Piece,
  Pipeline,
  ReplicaCheck,
  type StagePass,
  type StageRunner,
  ZERO_STAGES,
} from "../../strategies/mod.ts";
import { type CheckpointTensors, RankTensors } from "../../checkpoint/mod.ts";
import { graphProvider, hostKernels, kernelsOfRank, type TrainConfig, type TrainJob } from "../config/mod.ts";
import { loadModel, type ModelParts } from "../../models/mod.ts";
import {
  buildStages,
  type GraphWeights,
  holdWeights,
  type RecordedPass,
  type TrainStage,
} from "../stage/mod.ts";
import { fillEvaluation, type Sampler, samplerOf, sharesOf } from "./rank_samples.ts";

/** Groups whose all-reduces sum numbers that may be rounded. */
const SUMMED = ["tp", "data", "expertData"] as const;

/** Which samples a pass works on. */
type Samples = { readonly step: number } | { readonly evaluation: number };

/** What a replica is built from. */
interface ReplicaParts {
  readonly device: DeviceView;
  readonly job: TrainJob;
  readonly source: Source;
  readonly parts: ModelParts;
  readonly graphs: { readonly runtime: onnx.OnnxRuntime | undefined } | undefined;
}

/**
 * One rank's part of a training run: its stages of the model, their parameters, the optimizer, and the recordings that
 * its schedule runs.
 */
export class Replica implements StageRunner {
  /** Computes on the device's memory. */
  readonly backend: Backend;
  /** Runs the passes of a step. */
  readonly pipeline: Pipeline;
  /** Updates what this rank answers for. */
  readonly optimizer: AdamW;
  readonly #device: DeviceView;
  readonly #config: TrainConfig;
  readonly #source: Source;
  readonly #stages: ReadonlyMap<number, TrainStage>;
  /** Which of the ranks with sequences of their own this one is. */
  readonly #sampler: Sampler;
  readonly #norm: GradientNorm;
  readonly #check: ReplicaCheck | undefined;
  /** Holds the parameters while this rank computes through onnxruntime. */
  readonly #weights: GraphWeights | undefined;
  #samples: Samples = { step: 0 };
  #lossSum = 0;
  #dropped = 0;
  #lossScale = 1;

  private constructor({ device, job, source, parts, graphs }: ReplicaParts) {
    const { config, start } = job;
    this.#device = device;
    this.#config = config;
    const cp = device.group("cp");
    this.#source = cp.size === 1
      ? source
      : partOf(source, contextPositions(config.context, cp.size, cp.index));
    this.#sampler = samplerOf(device.rank, config);
    const wide = createBackend(hostKernels(kernelsOfRank(config, device.rank)), device.heap);
    this.backend = config.precision === "bf16" ? bf16Backend(wide) : wide;
    this.pipeline = new Pipeline(device.group("pp"), job.schedule);
    if (config.numerics === "exact") { for (const name of SUMMED) device.group(name).algorithm = "tree"; }
    const groupOf = (name: string) => device.group(name), { backend, pipeline } = this;
    const seed = start.weights === undefined ? config.seed : undefined;
    this.#stages = buildStages({
      backend,
      config,
      seed,
      parts,
      source: this.#source,
      pipeline,
      groupOf,
      graphs,
    });
    const { beta1, beta2, weightDecay } = config;
    const targets = this.#stores.flatMap((store) => store.updatePieces()).map(toTarget);
    this.optimizer = new AdamW(this.backend, targets, { beta1, beta2, epsilon: 1e-8, weightDecay });
    const counted = this.#stores.flatMap((store) => store.chunkPieces()).filter(({ parameter }) =>
      this.#countsHere(parameter)
    );
    this.#norm = new GradientNorm(this.backend, counted.map(({ gradient }) => gradient));
    this.#check = config.checkReplicas > 0 ? this.#makeCheck(groupOf) : undefined;
    this.#tensors.load(start);
    this.#weights = graphs?.runtime && this.#moveTo(graphs.runtime);
    // Recorded now, so that memory does not grow when the first evaluation comes.
    if (source.numEvaluation > 0 && config.evalEvery > 0) {
      for (const stage of this.#stages.values()) stage.pass(0, config.microBatch);
    }
  }

  /** Builds this rank's part of the model of a job and gives it the values that the job starts from. */
  static async build(device: DeviceView, job: TrainJob, source: Source): Promise<Replica> {
    const provider = graphProvider(kernelsOfRank(job.config, device.rank));
    const runtime = provider && device.heap.memory ? await onnx.openRuntime(provider) : undefined;
    const parts = await loadModel(job.model), graphs = provider && { runtime };
    return new Replica({ device, job, source, parts, graphs });
  }

  /** Runs the forward and backward passes of a step; returns the sum of the losses of this rank's rows. */
  async accumulate(step: number, lossScale: number): Promise<number> {
    this.#samples = { step };
    this.#lossSum = this.#dropped = 0;
    this.#lossScale = lossScale;
    for (const store of this.#stores) store.clearGradients();
    this.#weights?.clear();
    await this.pipeline.run(this);
    return this.#lossSum + (await this.#weights?.settle() ?? 0);
  }

  /** Choices of full experts in this rank's part of the last step. */
  get droppedChoices(): number {
    return this.#dropped;
  }

  /** Returns when the gradients are sums over the global batch. */
  reduce(): void {
    for (const store of this.#stores) store.finishGradients();
    const ends = this.#ends;
    if (ends !== undefined) { for (const store of this.#stores) store.reduceShared(ends); }
    this.#weights?.takeGradients();
  }

  /** Bytes that came back from onnxruntime in this step. */
  get bytesReadBack(): number {
    return this.#weights?.bytesRead ?? 0;
  }

  /** Gives the GPU back. */
  [Symbol.dispose](): void {
    this.#weights?.close();
  }

  /** L2 norm of the gradients of the whole model, the same on every rank. */
  gradientNorm(): number {
    return this.#norm.compute(this.#device.group("world"), this.#weights?.share);
  }

  /** Updates the parameters. */
  async update(step: number, learningRate: number, gradientScale: number): Promise<void> {
    if (this.#weights !== undefined) await this.#weights.update(step, learningRate, gradientScale);
    else this.optimizer.update(step, learningRate, gradientScale);
    for (const store of this.#stores) store.finishUpdate();
  }

  /**
   * Compares the parameters with those of the other ranks that hold them.
   *
   * @param step Finished steps.
   * @throws {ReplicaError} If they differ.
   */
  async checkReplicas(step: number): Promise<void> {
    await this.#weights?.download();
    this.#device.enter(step, "replica check");
    this.#check?.check(step);
  }

  /** Sum of the validation losses of this rank's rows. */
  async evaluate(): Promise<number> {
    const { microBatch } = this.#config,
      numRounds = Math.ceil(this.#source.numEvaluation / (this.#sampler.size * microBatch));
    this.#lossSum = 0;
    for (let round = 0; round < numRounds; round++) {
      this.#samples = { evaluation: round };
      await this.pipeline.runForward(this, 0);
    }
    return this.#lossSum + (await this.#weights?.readLosses() ?? 0);
  }

  /** Writes this rank's part of parameters and moments to the files of a checkpoint. */
  async writeTensors(to: CheckpointTensors): Promise<void> {
    await this.#weights?.download();
    // Every element of the model comes from one rank.
    this.#tensors.write(to, ({ parameter }) => this.#countsHere(parameter));
  }

  /** The recording for an instruction; a forward pass gets its samples. */
  prepare({ kind, stage: number, microBatch }: Instruction, slot: number): StagePass | undefined {
    const stage = this.#stages.get(number)!, samples = this.#samples;
    if ("evaluation" in samples) {
      const pass = stage.pass(slot, this.#config.microBatch);
      fillEvaluation({ stage, pass, source: this.#source }, this.#sampler, samples.evaluation);
      return pass;
    }
    const { start, size } = sharesOf(this.#config, this.#sampler, {
      m: this.pipeline.schedule.m,
      microBatch,
    });
    if (size === 0) return this.#skip(kind, stage, microBatch);
    const pass = stage.pass(slot, size);
    if (kind === "F") this.#fillTraining(stage, pass, samples.step, start);
    return pass;
  }

  /** Adds up the losses of the last stage. */
  onForward(pass: StagePass): void {
    const { loss, tape } = pass as RecordedPass;
    if (this.#device.group("tp").index === 0) {
      for (const layer of tape.auxiliary) this.#dropped += layer.load().dropped.reduce((a, b) => a + b, 0);
    }
    if (loss !== undefined && this.#device.group("tp").index === 0) {
      this.#lossSum += sumLoss(this.backend, loss);
    }
  }

  /** Publishes where this rank is. */
  enter({ kind, stage, microBatch }: Instruction): void {
    const samples = this.#samples;
    if ("step" in samples) this.#device.enter(samples.step, kind === "F" ? "forward" : "backward");
    this.#stages.get(stage)!.store.beginPass(microBatch === this.pipeline.schedule.m - 1);
  }

  #makeCheck(groupOf: (name: string) => Group): ReplicaCheck {
    const pieces = this.#stores.flatMap((store) => store.residentPieces());
    const parameters = this.#stores.flatMap((store) => store.parameters);
    const sharedNames = this.#sharedNames;
    const { backend: { heap } } = this, zero = ZERO_STAGES[this.#config.zero];
    return new ReplicaCheck({ heap, parameters, pieces, zero, sharedNames, groupOf });
  }

  /** Gives onnxruntime the parameters; gradients that other ranks add to still go through the memory. */
  #moveTo(runtime: onnx.OnnxRuntime): GraphWeights {
    const isReplicated = this.#device.group("data").size > 1, shared = this.#sharedNames;
    const { backend: { heap }, optimizer } = this, stages = [...this.#stages.values()];
    return holdWeights({ runtime, heap, optimizer, stages }, ({ parameter }) => ({
      isCounted: this.#countsHere(parameter),
      isCrossing: isReplicated || shared.includes(parameter.name),
    }));
  }

  /** Names of parameters that another stage holds, too. */
  get #sharedNames(): string[] {
    return this.#ends === undefined ? [] : this.#stores.flatMap((store) => store.sharedNames);
  }

  get #stores(): ParameterStore[] {
    return [...this.#stages.values()].map(({ store }) => store);
  }

  /** First and last stage, which hold copies of shared parameters; undefined elsewhere, and without a pipeline. */
  get #ends(): Group | undefined {
    const { index, size } = this.#device.group("pp");
    return size > 1 && (index === 0 || index === size - 1) ? this.#device.group("ends") : undefined;
  }

  /** What several ranks hold whole counts on the first of them. */
  #countsHere({ name, shard }: Parameter): boolean {
    if (shard === undefined && this.#device.group("tp").index > 0) return false;
    return !(this.#ends?.index === 1 && this.#sharedNames.includes(name));
  }

  /** There are no samples: the sums over other ranks are still to be joined. */
  #skip(kind: Instruction["kind"], { store }: TrainStage, microBatch: number): undefined {
    store.beginPass(microBatch === this.pipeline.schedule.m - 1);
    if (kind === "B" || kind === "W") store.skipPass();
  }

  #fillTraining(stage: TrainStage, pass: RecordedPass, step: number, start: number): void {
    stage.fill(pass, (i, views) => this.#source.readTraining(step, start + i, i, views));
    pass.tape.lossScale = this.#lossScale;
    if (pass.loss !== undefined) pass.loss.scale = this.#lossScale;
  }

  get #tensors(): RankTensors {
    return new RankTensors(this.backend.heap, this.#stores, this.optimizer);
  }
}

/** A piece as the optimizer sees it. */
function toTarget({ parameter, values, gradient }: Piece): OptimizerTarget {
  return { name: parameter.name, span: values, gradient, isDecayed: parameter.isDecayed };
}
