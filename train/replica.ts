import type { Device } from "../actors/mod.ts";
import type { ProcessGroup } from "../collectives/mod.ts";
import { type Backend, createBackend, type Span } from "../kernels/mod.ts";
import {
  AdamW,
  GradientArena,
  type Loss,
  type Moments,
  type OptimizerTarget,
  type Sharding,
  sumLoss,
  Tape,
  type Tensor,
} from "../nn/mod.ts";
import {
  countParameters,
  type Instruction,
  makeSchedule,
  ParameterStore,
  partitionLayers,
  type Piece,
  Pipeline,
  type Schedule,
  shareOf,
  type StagePass,
  type StageRunner,
} from "../strategies/mod.ts";
import type { TrainConfig } from "./config.ts";
import type { JobStart, Snapshot, TrainJob } from "./job.ts";
import { loadModel, type ModelParts, traceShapes } from "./model_parts.ts";
import { fillPieces, writePieces } from "./pieces.ts";
import { type BatchViews, MASKED, type Source } from "./source.ts";

/** The recorded pass of a number of samples through one stage. */
interface RecordedPass extends StagePass {
  readonly inputs: Tensor | undefined;
  readonly targets: Tensor | undefined;
  readonly loss: Loss | undefined;
}

/** What this device holds of one stage. */
interface Stage {
  readonly store: ParameterStore;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Recordings by slot and number of samples. */
  readonly passes: Map<string, RecordedPass>;
  readonly arena: GradientArena;
}

/** Which samples a pass works on. */
type Samples = { readonly step: number } | { readonly evaluation: number };

/** Micro-batches of a step: as many on every rank of the data axis, so that all run the same schedule. */
export function countMicroBatches(
  { batch, dp, microBatch }: Pick<TrainConfig, "batch" | "dp" | "microBatch">,
): number {
  return Math.ceil(Math.ceil(batch / dp) / microBatch);
}

/** The schedule of a configuration. */
export function scheduleOf(config: TrainConfig): Schedule {
  const { pp, virtualStages } = config, name = pp === 1 ? "1f1b" : config.schedule;
  return makeSchedule(name, {
    p: pp,
    m: countMicroBatches(config),
    v: name === "interleaved" ? virtualStages : undefined,
  });
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
  readonly #device: Device;
  readonly #config: TrainConfig;
  readonly #source: Source;
  readonly #parts: ModelParts;
  readonly #stages = new Map<number, Stage>();
  readonly #data: ProcessGroup;
  readonly #sums: Span;
  readonly #sharding: Sharding | undefined;
  #samples: Samples = { step: 0 };
  #lossSum = 0;
  #lossScale = 1;

  private constructor(device: Device, job: TrainJob, source: Source, parts: ModelParts) {
    const { config, start } = job;
    this.#device = device;
    this.#config = config;
    this.#source = source;
    this.#parts = parts;
    this.#data = device.group("dp");
    this.backend = createBackend(config.kernels, device.heap);
    this.#sharding = undefined;
    this.pipeline = new Pipeline(device.group("pp"), scheduleOf(config));
    this.#buildStages();
    const { beta1, beta2, weightDecay } = config;
    const targets = this.#stores.flatMap((store) => store.updatePieces()).map(toTarget);
    this.optimizer = new AdamW(this.backend, targets, { beta1, beta2, epsilon: 1e-8, weightDecay });
    this.#sums = device.heap.allocate("gradient norm", 1, "buffers", "f64");
    this.#load(start);
    // Recorded now, so that memory does not grow when the first evaluation comes.
    if (source.numEvaluation > 0 && config.evalEvery > 0) {
      for (const stage of this.pipeline.stages) this.#recorded(stage, 0, config.microBatch);
    }
  }

  /** Builds this rank's part of the model of a job and gives it the values that the job starts from. */
  static async build(device: Device, job: TrainJob, source: Source): Promise<Replica> {
    return new Replica(device, job, source, await loadModel(job.model));
  }

  /** Runs the forward and backward passes of a step; returns the sum of the losses of this rank's rows. */
  accumulate(step: number, lossScale: number): number {
    this.#samples = { step };
    this.#lossSum = 0;
    this.#lossScale = lossScale;
    for (const store of this.#stores) store.clearGradients();
    this.pipeline.run(this);
    return this.#lossSum;
  }

  /** Returns when the gradients are sums over the global batch. */
  reduce(): void {
    for (const store of this.#stores) store.finishGradients();
    const ends = this.#ends;
    if (ends !== undefined) { for (const store of this.#stores) store.reduceShared(ends); }
  }

  /** L2 norm of the gradients of the whole model, the same on every rank. */
  gradientNorm(): number {
    const { heap } = this.#device;
    let squares = 0;
    for (const { parameter, gradient } of this.#stores.flatMap((store) => store.chunkPieces())) {
      if (this.#countsHere(parameter.name)) squares += this.backend.sumSquares(gradient);
    }
    heap.f64(this.#sums)[0] = squares;
    this.#device.group("world").allReduce(this.#sums, { label: "gradient norm" });
    return Math.sqrt(heap.f64(this.#sums)[0]);
  }

  /** Updates the parameters. */
  update(step: number, learningRate: number, gradientScale: number): void {
    this.optimizer.update(step, learningRate, gradientScale);
    for (const store of this.#stores) store.finishUpdate();
  }

  /** Sum of the validation losses of this rank's rows. */
  evaluate(): number {
    const { dp, microBatch } = this.#config,
      numRounds = Math.ceil(this.#source.numEvaluation / (dp * microBatch));
    this.#lossSum = 0;
    for (let round = 0; round < numRounds; round++) {
      this.#samples = { evaluation: round };
      this.pipeline.runForward(this, 0);
    }
    return this.#lossSum;
  }

  /** Writes this rank's part of parameters and moments to tensors that all ranks share, and waits for the others. */
  writeSnapshot({ weights, m, v }: Snapshot): void {
    const { heap } = this.backend, states = [...this.optimizer.moments.values()];
    if (this.#config.zero > 0 || this.#data.index === 0) {
      const pieces = this.#stores.flatMap((store) => store.updatePieces());
      // Every element of the model comes from one rank.
      const [own, kept] = [pieces, states].map((list) =>
        list.filter((_, i) => this.#countsHere(pieces[i].parameter.name))
      ) as [
        Piece[],
        Moments[],
      ];
      writePieces(heap, own, (piece) => piece.values, weights);
      writePieces(heap, own, (_, i) => kept[i].m, m);
      writePieces(heap, own, (_, i) => kept[i].v, v);
    }
    this.#device.group("world").barrier({ label: "checkpoint" });
  }

  /** The recording for a micro-batch, with its samples. */
  prepare(stage: number, microBatch: number, slot: number): StagePass | undefined {
    const samples = this.#samples;
    return "step" in samples
      ? this.#prepareTraining(stage, microBatch, slot, samples.step)
      : this.#prepareEvaluation(stage, slot, samples.evaluation);
  }

  /** Adds up the losses of the last stage. */
  onForward(_stage: number, _microBatch: number, pass: StagePass): void {
    const { loss } = pass as RecordedPass;
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

  get #stores(): ParameterStore[] {
    return [...this.#stages.values()].map(({ store }) => store);
  }

  /** First and last stage, which hold copies of shared parameters; undefined elsewhere, and without a pipeline. */
  get #ends(): ProcessGroup | undefined {
    const { index, size } = this.#device.group("pp");
    return size > 1 && (index === 0 || index === size - 1) ? this.#device.group("ends") : undefined;
  }

  /** A parameter that several ranks hold whole counts on the first of them. */
  #countsHere(name: string): boolean {
    return !(this.#ends?.index === 1 && this.#stores.some((store) => store.sharedNames.includes(name)));
  }

  #buildStages(): void {
    const { backend, pipeline } = this, { layers } = this.#parts, { seed, zero, partition } = this.#config;
    const counts = countParameters(layers), { p, v } = pipeline.schedule;
    const facts = layers.map(({ name, type }, i) => ({ name, type, parameters: counts[i] }));
    const { ranges } = partitionLayers(facts, { numStages: p * v, method: partition });
    for (const stage of pipeline.stages) {
      const { start, end } = ranges[stage], ownLayers = layers.slice(start, end), sharding = this.#sharding;
      const shared = {
        backend,
        group: this.#data,
        zeroStage: zero,
        seed,
        sharding,
        allLayers: layers,
        ownLayers,
      };
      const store = new ParameterStore(shared), arena = new GradientArena(backend.heap);
      const place = { isFirst: stage === 0, isLast: stage === p * v - 1 };
      this.#stages.set(stage, { store, arena, ...place, passes: new Map() });
    }
  }

  #prepareTraining(stage: number, microBatch: number, slot: number, step: number): StagePass | undefined {
    const { batch } = this.#config, { size: dp, index } = this.#data, { m } = this.pipeline.schedule;
    const whole = shareOf(batch, m, microBatch), share = shareOf(whole.end - whole.start, dp, index);
    const size = share.end - share.start;
    if (size === 0) return undefined;
    const pass = this.#recorded(stage, slot, size);
    this.#fill(
      pass,
      (i, views) => this.#source.readTraining(step, whole.start + share.start + i, i, views),
      size,
    );
    if (pass.loss !== undefined) pass.loss.scale = this.#lossScale;
    return pass;
  }

  #prepareEvaluation(stage: number, slot: number, round: number): StagePass {
    const size = this.#config.microBatch, first = (round * this.#data.size + this.#data.index) * size;
    const pass = this.#recorded(stage, slot, size), count = this.#source.numEvaluation;
    this.#fill(pass, (i, views) => {
      this.#source.readEvaluation(Math.min(first + i, count - 1), i, views);
      if (first + i >= count) {
        views.targets.subarray(i * views.targets.length / size, (i + 1) * views.targets.length / size).fill(
          MASKED,
        );
      }
    }, size);
    return pass;
  }

  #fill({ inputs, targets }: RecordedPass, read: (i: number, views: BatchViews) => void, size: number): void {
    if (inputs === undefined && targets === undefined) return;
    const { heap } = this.backend, { inputShape, targetShape } = this.#source;
    const view = (tensor: Tensor | undefined, shape: readonly number[]) =>
      tensor === undefined
        ? new Int32Array(size * shape.reduce((a, b) => a * b, 1))
        : tensor.dtype === "i32"
        ? heap.i32(tensor.span)
        : heap.f32(tensor.span);
    const views = { inputs: view(inputs, inputShape), targets: view(targets, targetShape) as Int32Array };
    for (let i = 0; i < size; i++) read(i, views);
  }

  #recorded(stage: number, slot: number, size: number): RecordedPass {
    const { passes } = this.#stages.get(stage)!, key = `${slot}/${size}`, known = passes.get(key);
    if (known !== undefined) return known;
    const pass = this.#record(stage, size);
    passes.set(key, pass);
    return pass;
  }

  #record(stage: number, size: number): RecordedPass {
    const { store, isFirst, isLast, arena } = this.#stages.get(stage)!,
      source = this.#source,
      parts = this.#parts;
    const deferWeights = this.pipeline.schedule.name === "zero-bubble";
    const tape = new Tape({
      backend: this.backend,
      training: true,
      deferWeights,
      arena: deferWeights ? undefined : arena,
    });
    const inputs = isFirst
      ? tape.input("inputs", [size, ...source.inputShape], source.inputDType)
      : undefined;
    const targets = isLast ? tape.input("targets", [size, ...source.targetShape], "i32") : undefined;
    const handed = isFirst ? undefined : tape.handoff("activations", this.#shapeBefore(stage, size));
    if (targets !== undefined) parts.setTargets(targets);
    let x = inputs ?? handed!.tensor;
    for (const layer of store.layers) x = layer.forward(tape, x);
    const loss = isLast ? parts.lossOf(tape, x) : undefined;
    const sent = isLast ? undefined : { values: x.span, gradient: tape.handoffTo(x) };
    tape.plan();
    const received = handed && { values: handed.tensor.span, gradient: handed.gradient };
    return { tape, inputs, targets, loss, received, sent };
  }

  /** Shape of what the stage before hands over. */
  #shapeBefore(stage: number, size: number): readonly number[] {
    const shapes = traceShapes(this.#parts, this.#source, size, this.#sharding), { layers } = this.#parts;
    const counts = countParameters(layers), { p, v } = this.pipeline.schedule;
    const facts = layers.map(({ name, type }, i) => ({ name, type, parameters: counts[i] }));
    const { ranges } = partitionLayers(facts, { numStages: p * v, method: this.#config.partition });
    return shapes[ranges[stage].start - 1];
  }

  #load({ weights, moments }: JobStart): void {
    const { heap } = this.backend;
    if (weights !== undefined) {
      for (const store of this.#stores) {
        fillPieces(heap, store.residentPieces(), (piece) => piece.values, weights);
      }
    }
    if (moments === undefined) return;
    const pieces = this.#stores.flatMap((store) => store.updatePieces()),
      states = [...this.optimizer.moments.values()];
    fillPieces(heap, pieces, (_, i) => states[i].m, moments.m);
    fillPieces(heap, pieces, (_, i) => states[i].v, moments.v);
  }
}

/** A piece as the optimizer sees it. */
function toTarget({ parameter, values, gradient }: Piece): OptimizerTarget {
  return { name: parameter.name, span: values, gradient, isDecayed: parameter.isDecayed };
}
