import type { DeviceView } from "../../actors/mod.ts";
import { type CheckpointTensors, RankTensors } from "../../checkpoint/mod.ts";
import { partOf, type Source } from "../../data/mod.ts";
import { type Backend, bf16Backend, createBackend, onnx } from "../../kernels/mod.ts";
import { loadModel, type ModelParts } from "../../models/mod.ts";
import { AdamW, type OptimizerTarget } from "../../nn/mod.ts";
import {
  contextPositions,
  GradientNorm,
  type Piece,
  Pipeline,
  ReplicaCheck,
  ZERO_STAGES,
} from "../../strategies/mod.ts";
import { graphProvider, hostKernels, kernelsOfRank, type TrainConfig, type TrainJob } from "../config/mod.ts";
import { buildStages, type GraphWeights, holdWeights, type TrainStage } from "../stage/mod.ts";
import { HeldParameters } from "./held_parameters.ts";
import { PassRunner } from "./pass_runner.ts";

/** Groups whose all-reduces sum numbers that may be rounded. */
const SUMMED = ["tp", "data", "expertData"] as const;

/** What a replica is built from. */
interface ReplicaParts {
  readonly device: DeviceView;
  readonly job: TrainJob;
  readonly source: Source;
  readonly parts: ModelParts;
  readonly graphs: { readonly runtime: onnx.OnnxRuntime | undefined } | undefined;
}

/**
 * One rank's part of a training run, as the step loop sees it: passes (`PassRunner`), parameters (`HeldParameters`), the
 * optimizer, and what the ranks of a step do together.
 */
export class Replica {
  /** Computes on the device's memory. */
  readonly backend: Backend;
  /** Updates what this rank answers for. */
  readonly optimizer: AdamW;
  readonly #device: DeviceView;
  readonly #held: HeldParameters;
  readonly #passes: PassRunner;
  readonly #tensors: RankTensors;
  readonly #norm: GradientNorm;
  readonly #check: ReplicaCheck | undefined;
  /** Holds the parameters while this rank computes through onnxruntime. */
  readonly #weights: GraphWeights | undefined;

  private constructor({ device, job, source, parts, graphs }: ReplicaParts) {
    const { config, start } = job, backend = backendOf(device, config);
    this.#device = device;
    this.backend = backend;
    if (config.numerics === "exact") { for (const name of SUMMED) device.group(name).algorithm = "tree"; }
    const pipeline = new Pipeline(device.group("pp"), job.schedule), own = ownTokens(device, config, source);
    const seed = (name: string) => start.weights?.has(name) ? undefined : config.seed;
    const groupOf = (name: string) => device.group(name), built = { backend, config, pipeline, source: own };
    const stages = buildStages({ ...built, seed, parts, groupOf, graphs });
    const held = new HeldParameters(device, [...stages.values()].map(({ store }) => store)),
      { stores } = held;
    this.#held = held;
    this.#passes = new PassRunner({ ...built, device, stages });
    const { beta1, beta2, weightDecay, keepZeros: keepsZeros } = config;
    const targets = stores.flatMap((store) => store.updatePieces()).map(toTarget);
    this.optimizer = new AdamW(backend, targets, { beta1, beta2, epsilon: 1e-8, weightDecay, keepsZeros });
    const counted = stores.flatMap((store) => store.chunkPieces()).filter(({ parameter }) =>
      held.countsHere(parameter)
    );
    this.#norm = new GradientNorm(backend, counted.map(({ gradient }) => gradient));
    this.#check = config.checkReplicas > 0 ? this.#makeCheck(config) : undefined;
    this.#tensors = new RankTensors(backend.heap, stores, this.optimizer);
    this.#tensors.load(start);
    this.#weights = graphs?.runtime && this.#moveTo(graphs.runtime, [...stages.values()]);
    // Recorded now, so that memory does not grow when the first evaluation comes.
    if (source.numEvaluation > 0 && config.evalEvery > 0) {
      for (const stage of stages.values()) stage.pass(0, config.microBatch);
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
    for (const store of this.#held.stores) store.clearGradients();
    this.#weights?.clear();
    await this.#passes.train(step, lossScale);
    return this.#passes.lossSum + (await this.#weights?.settle() ?? 0);
  }

  /** Choices of full experts in this rank's part of the last step. */
  get droppedChoices(): number {
    return this.#passes.droppedChoices;
  }

  /** Returns when the gradients are sums over the global batch. */
  reduce(): void {
    const { stores, ends } = this.#held;
    for (const store of stores) store.finishGradients();
    if (ends !== undefined) { for (const store of stores) store.reduceShared(ends); }
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
    for (const store of this.#held.stores) store.finishUpdate();
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
    await this.#passes.evaluate();
    return this.#passes.lossSum + (await this.#weights?.readLosses() ?? 0);
  }

  /** Writes this rank's part of parameters and moments to the files of a checkpoint. */
  async writeTensors(to: CheckpointTensors): Promise<void> {
    await this.#weights?.download();
    this.#tensors.write(to, ({ parameter }) => this.#held.countsHere(parameter));
  }

  #makeCheck(config: TrainConfig): ReplicaCheck {
    const { stores, sharedNames } = this.#held, { heap } = this.backend, zero = ZERO_STAGES[config.zero];
    const pieces = stores.flatMap((store) => store.residentPieces());
    const parameters = stores.flatMap((store) => store.parameters);
    const groupOf = (name: string) => this.#device.group(name);
    return new ReplicaCheck({ heap, parameters, pieces, zero, sharedNames, groupOf });
  }

  /** Gives onnxruntime the parameters; gradients that other ranks add to still go through the memory. */
  #moveTo(runtime: onnx.OnnxRuntime, stages: readonly TrainStage[]): GraphWeights {
    const { backend: { heap }, optimizer } = this, held = this.#held;
    return holdWeights({ runtime, heap, optimizer, stages }, ({ parameter }) => ({
      isCounted: held.countsHere(parameter),
      isCrossing: held.isCrossing(parameter),
    }));
  }
}

function backendOf({ rank, heap }: DeviceView, config: TrainConfig): Backend {
  const wide = createBackend(hostKernels(kernelsOfRank(config, rank)), heap);
  return config.precision === "bf16" ? bf16Backend(wide) : wide;
}

/** The samples, or what this rank sees of each where sequences are shared out. */
function ownTokens(device: DeviceView, { context }: TrainConfig, source: Source): Source {
  const { size, index } = device.group("cp");
  return size === 1 ? source : partOf(source, contextPositions(context, size, index));
}

/** A piece as the optimizer sees it. */
function toTarget({ parameter, values, gradient }: Piece): OptimizerTarget {
  return { name: parameter.name, span: values, gradient, isDecayed: parameter.isDecayed };
}
