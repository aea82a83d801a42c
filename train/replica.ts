import type { Device } from "../actors/mod.ts";
import { type Backend, createBackend } from "../kernels/mod.ts";
import {
  AdamW,
  allocateGradients,
  type BuildModel,
  GradientArena,
  type Loss,
  type Model,
  type Parameter,
  Scope,
  sumLoss,
  Tape,
  type Tensor,
} from "../nn/mod.ts";
import { DataParallel } from "../strategies/mod.ts";
import type { Span } from "../kernels/mod.ts";
import type { TrainJob } from "./job.ts";
import type { BatchViews, Source } from "./source.ts";

/** A recorded pass over a number of samples. */
export interface MicroBatch {
  readonly size: number;
  readonly tape: Tape;
  readonly inputs: Tensor;
  readonly targets: Tensor;
  readonly loss: Loss;
}

/** A whole model on one device with its optimizer, and the group that it shares gradients with. */
export class Replica {
  readonly backend: Backend;
  readonly model: Model;
  readonly parameters: readonly Parameter[];
  readonly optimizer: AdamW;
  readonly dataParallel: DataParallel;
  readonly #source: Source;
  readonly #gradients: Span;
  readonly #arena: GradientArena;
  readonly #microBatches = new Map<number, MicroBatch>();

  private constructor(device: Device, job: TrainJob, source: Source, build: BuildModel) {
    const { config, model, start } = job, { heap } = device;
    this.backend = createBackend(config.kernels, heap);
    const scope = Scope.root(heap, config.seed);
    this.model = build(scope, model.config);
    this.parameters = scope.parameters;
    this.#gradients = allocateGradients(heap, this.parameters);
    const { beta1, beta2, weightDecay } = config;
    this.optimizer = new AdamW(this.backend, this.parameters, { beta1, beta2, epsilon: 1e-8, weightDecay });
    const gradients = { block: this.#gradients, parameters: this.parameters };
    this.dataParallel = new DataParallel(device.group("dp"), gradients);
    this.#source = source;
    this.#arena = new GradientArena(heap);
    this.#load(start);
  }

  /** Builds the model of a job on a device and gives it the values that the job starts from. */
  static async build(device: Device, job: TrainJob, source: Source): Promise<Replica> {
    const module = await import(job.model.module) as { default: BuildModel };
    return new Replica(device, job, source, module.default);
  }

  /** The recorded pass over `size` samples; recorded when first asked for. */
  microBatch(size: number): MicroBatch {
    const known = this.#microBatches.get(size);
    if (known !== undefined) return known;
    const tape = new Tape({ backend: this.backend, training: true, arena: this.#arena });
    const { inputShape, inputDType, targetShape } = this.#source;
    const inputs = tape.input("inputs", [size, ...inputShape], inputDType);
    const targets = tape.input("targets", [size, ...targetShape], "i32");
    const loss = this.model.loss(tape, inputs, targets);
    tape.plan();
    const microBatch = { size, tape, inputs, targets, loss };
    this.#microBatches.set(size, microBatch);
    return microBatch;
  }

  /** Memory of a micro-batch, to be filled with samples. */
  views({ inputs, targets }: MicroBatch): BatchViews {
    const { heap } = this.backend;
    return {
      inputs: inputs.dtype === "i32" ? heap.i32(inputs.span) : heap.f32(inputs.span),
      targets: heap.i32(targets.span),
    };
  }

  /** Sum of the losses of the rows of the last forward pass. */
  lossOf(microBatch: MicroBatch): number {
    return sumLoss(this.backend, microBatch.loss);
  }

  /** Sets all gradients to zero: a step begins. */
  clearGradients(): void {
    this.backend.fill(0, this.#gradients);
  }

  #load({ weights, moments }: TrainJob["start"]): void {
    const { heap } = this.backend;
    for (const parameter of this.parameters) {
      const values = weights?.get(parameter.name);
      if (values !== undefined) heap.f32(parameter.span).set(values);
      const { m, v } = this.optimizer.moments.get(parameter)!;
      const first = moments?.m.get(parameter.name), second = moments?.v.get(parameter.name);
      if (first !== undefined) heap.f32(m).set(first);
      if (second !== undefined) heap.f32(v).set(second);
    }
  }
}
