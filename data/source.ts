/**
 * Where samples come from: windows of a token corpus, or arrays of features with targets. Data lie in files or in shared
 * memory; every device reads its own part of each batch.
 *
 * @module
 */
import type { DType } from "../kernels/mod.ts";
import { checkBlock } from "./check_tokens.ts";
import type { ArrayData, DataSpec, TokenData } from "./data_spec.ts";
import { evaluationStarts, permute, sampleStart } from "./order.ts";
import { openTokens, type TokenReader } from "./tokens.ts";

/** A place in the order of samples. */
export interface SamplePosition {
  /** A step ... */
  readonly step: number;
  /** ... and how many samples the steps before it had. */
  readonly sample: number;
}

/** How training samples are ordered. */
export interface SourceOrder {
  /** As they lie, or in an order that the seed and the epoch decide. */
  readonly order: "sequential" | "shuffle";
  /** Of the shuffled order. */
  readonly seed: number;
  /** Samples of a step, over all devices. */
  readonly batch: number;
  /** Where the run goes on, if steps before had another batch; by default all steps have this one. */
  readonly from?: SamplePosition;
}

/** The first sample of a step. */
export function firstSample(step: number, { batch, from }: Pick<SourceOrder, "batch" | "from">): number {
  return from === undefined ? step * batch : from.sample + (step - from.step) * batch;
}

/** Views on the memory of a batch. */
export interface BatchViews {
  /** [size, ...inputShape]. */
  readonly inputs: Float32Array | Int32Array;
  /** [size, ...targetShape]. */
  readonly targets: Int32Array;
  /** [size, ...inputShape], if the source has documents. */
  readonly documents?: Int32Array;
}

/** A target that does not count. */
export const MASKED: number = -1;

/** Evaluation uses at most this many validation samples, evenly spread. */
const MAX_EVALUATION_SAMPLES = 1024;

/** Gives samples by (step, index); the same ones whatever the layout. */
export interface Source extends Disposable {
  /** Element type of the inputs: token ids, or features. */
  readonly inputDType: Extract<DType, "i32" | "f32">;
  /** Shape of the inputs of one sample. */
  readonly inputShape: readonly number[];
  /** Shape of the targets of one sample. */
  readonly targetShape: readonly number[];
  /** Several documents share a sample, see {@link ArrayData}: a token sees its own only, and counts its place from 0. */
  readonly hasDocuments: boolean;
  /** Samples of an evaluation; 0 if nothing is held out. */
  readonly numEvaluation: number;
  /** Targets that count in the global batch of a step. */
  countTargets(step: number): number;
  /** Targets that count in an evaluation. */
  countEvaluationTargets(): number;
  /** Writes sample `index` of the global batch of a step to place `slot` of a batch. */
  readTraining(step: number, index: number, slot: number, to: BatchViews): void;
  /** Writes sample `index` of the evaluation to place `slot` of a batch. */
  readEvaluation(index: number, slot: number, to: BatchViews): void;
}

/** Opens the data of a job. */
export function openSource(data: DataSpec, order: SourceOrder): Source {
  return data.kind === "tokens" ? new TokenSource(data, order) : new ArraySource(data, order);
}

/**
 * A source that reads some tokens of each sample only: what a rank of the context axis sees. Counts are those of whole
 * samples.
 *
 * @param positions Places in the sample, in the order in which they are read.
 * @throws {TypeError} If samples hold several documents.
 */
export function partOf(source: Source, positions: readonly number[]): Source {
  if (source.hasDocuments) throw new TypeError("samples of several documents cannot be taken apart");
  const [length] = source.inputShape, inputs = new Int32Array(length), targets = new Int32Array(length);
  const pick = (slot: number, to: BatchViews) => {
    const base = slot * positions.length;
    positions.forEach((position, i) => {
      to.inputs[base + i] = inputs[position];
      to.targets[base + i] = targets[position];
    });
  };
  const whole = { inputs, targets }, shape = [positions.length];
  return {
    ...{
      inputDType: source.inputDType,
      inputShape: shape,
      targetShape: shape,
      hasDocuments: false,
      numEvaluation: source.numEvaluation,
    },
    countTargets: (step) => source.countTargets(step),
    countEvaluationTargets: () => source.countEvaluationTargets(),
    readTraining: (step, index, slot, to) => {
      source.readTraining(step, index, 0, whole);
      pick(slot, to);
    },
    readEvaluation: (index, slot, to) => {
      source.readEvaluation(index, 0, whole);
      pick(slot, to);
    },
    [Symbol.dispose]: () => source[Symbol.dispose](),
  };
}

class TokenSource implements Source {
  readonly inputDType = "i32";
  readonly hasDocuments = false;
  readonly inputShape: readonly number[];
  readonly targetShape: readonly number[];
  readonly #data: TokenData;
  readonly #order: SourceOrder;
  readonly #evaluation: readonly number[];
  readonly #training: TokenReader;
  readonly #held: TokenReader;

  constructor(data: TokenData, order: SourceOrder) {
    const { validation, context, evaluated } = data;
    this.#data = data;
    this.#order = order;
    this.#training = openTokens(data.tokens);
    this.#held = data.validationTokens === undefined ? this.#training : openTokens(data.validationTokens);
    this.inputShape = this.targetShape = [context];
    this.#evaluation = validation === undefined
      ? []
      : evaluated === undefined
      ? evaluationStarts(validation, context, MAX_EVALUATION_SAMPLES)
      : evaluationStarts(validation, context).slice(0, evaluated);
  }

  get numEvaluation(): number {
    return this.#evaluation.length;
  }

  countTargets(): number {
    return this.#order.batch * this.#data.context;
  }

  countEvaluationTargets(): number {
    return this.#evaluation.length * this.#data.context;
  }

  readTraining(step: number, index: number, slot: number, to: BatchViews): void {
    const { context, train } = this.#data;
    const sample = firstSample(step, this.#order) + index;
    this.#read(
      this.#training,
      sampleStart(sample, { ...this.#order, context, numTokens: train.end }),
      slot,
      to,
    );
  }

  readEvaluation(index: number, slot: number, to: BatchViews): void {
    this.#read(this.#held, this.#evaluation[index], slot, to);
  }

  [Symbol.dispose](): void {
    this.#training[Symbol.dispose]();
    this.#held[Symbol.dispose]();
  }

  #read(reader: TokenReader, start: number, slot: number, { inputs, targets }: BatchViews): void {
    const { context, name, vocab } = this.#data,
      base = slot * context,
      window = reader.read(start, context + 1);
    // Large files are looked at in part only before a run; an id outside the table would read what is not there.
    checkBlock({ name, vocab, start }, window);
    inputs.set(window.subarray(0, context), base);
    targets.set(window.subarray(1), base);
  }
}

class ArraySource implements Source {
  readonly inputDType: "i32" | "f32";
  readonly inputShape: readonly number[];
  readonly targetShape: readonly number[];
  readonly hasDocuments: boolean;
  readonly numEvaluation: number;
  readonly #data: ArrayData;
  readonly #order: SourceOrder;
  readonly #inputLength: number;
  readonly #targetLength: number;

  constructor(data: ArrayData, order: SourceOrder) {
    this.#data = data;
    this.#order = order;
    this.inputDType = data.inputs instanceof Int32Array ? "i32" : "f32";
    this.inputShape = data.inputShape;
    this.targetShape = data.targetShape;
    this.hasDocuments = data.documents !== undefined;
    this.numEvaluation = Math.min(MAX_EVALUATION_SAMPLES, data.numSamples - data.numTrain);
    this.#inputLength = data.inputs.length / data.numSamples;
    this.#targetLength = data.targets.length / data.numSamples;
  }

  countTargets(step: number): number {
    let count = 0;
    for (let i = 0; i < this.#order.batch; i++) count += this.#countOf(this.#trainingSample(step, i));
    return count;
  }

  countEvaluationTargets(): number {
    let count = 0;
    for (let i = 0; i < this.numEvaluation; i++) count += this.#countOf(this.#evaluationSample(i));
    return count;
  }

  readTraining(step: number, index: number, slot: number, to: BatchViews): void {
    this.#read(this.#trainingSample(step, index), slot, to);
  }

  readEvaluation(index: number, slot: number, to: BatchViews): void {
    this.#read(this.#evaluationSample(index), slot, to);
  }

  #trainingSample(step: number, index: number): number {
    const { order, seed } = this.#order, { numTrain } = this.#data;
    const sample = firstSample(step, this.#order) + index, place = sample % numTrain;
    return order === "sequential" ? place : permute(place, numTrain, seed, Math.floor(sample / numTrain));
  }

  #evaluationSample(index: number): number {
    const { numTrain, numSamples } = this.#data;
    return numTrain + Math.floor(index * (numSamples - numTrain) / this.numEvaluation);
  }

  #countOf(sample: number): number {
    const { targets } = this.#data, start = sample * this.#targetLength;
    let count = 0;
    for (let i = start; i < start + this.#targetLength; i++) if (targets[i] >= 0) count++;
    return count;
  }

  #read(sample: number, slot: number, to: BatchViews): void {
    const { inputs, targets, documents } = this.#data, n = this.#inputLength, m = this.#targetLength;
    to.inputs.set(inputs.subarray(sample * n, (sample + 1) * n), slot * n);
    if (documents !== undefined) {
      to.documents?.set(documents.subarray(sample * n, (sample + 1) * n), slot * n);
    }
    to.targets.set(targets.subarray(sample * m, (sample + 1) * m), slot * m);
  }

  [Symbol.dispose](): void {}
}
