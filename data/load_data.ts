import { UsageError } from "../files/mod.ts";
import { numElements, toShared } from "../kernels/mod.ts";
import { type CorpusOptions, loadCorpus } from "./corpus.ts";
import { type DataSpec, firstSample, type SourceOrder } from "./source.ts";

/** The part of a run's configuration that its data depend on. */
export interface DataOptions extends Omit<SourceOrder, "seed">, Pick<CorpusOptions, "context" | "dtype"> {
  /** Vocabulary of the model; undefined: what the data say. */
  readonly vocab: number | undefined;
  /** Optimizer steps in all. */
  readonly steps: number;
  /** Devices that share out the tokens of each sequence. */
  readonly cp: number;
}

/** Samples of a user's own: features and targets. The last tenth validates unless `numTrain` says otherwise. */
export interface Samples {
  /** [numSamples, ...inputShape]. */
  readonly inputs: Float32Array;
  /** Shape of one sample. */
  readonly inputShape: readonly number[];
  /** [numSamples] classes; negative = does not count. */
  readonly targets: Int32Array;
  /** The first so many train, the others validate. */
  readonly numTrain?: number;
}

/** Data that every rank can read. */
export interface LoadedData {
  /** What every rank is sent. */
  readonly spec: DataSpec;
  /** Token ids are below it. */
  readonly vocab: number;
  /** One line on it. */
  readonly statement: string;
}

/**
 * Loads a text or token file (by default Moby Dick), or takes samples of the user's own.
 *
 * @throws {UsageError} If they cannot be used.
 */
export async function loadData(data: string | Samples | undefined, config: DataOptions): Promise<LoadedData> {
  if (data !== undefined && typeof data !== "string") return loadSamples(data, config);
  const { vocab, dtype, context, batch, steps, order } = config;
  const minTrainTokens = order === "sequential" ? firstSample(steps, config) * context + 1 : 0;
  const { statement, ...corpus } = await loadCorpus(data, { vocab, dtype, context, batch, minTrainTokens });
  return { spec: { kind: "tokens", context, ...corpus }, vocab: corpus.vocab, statement };
}

function loadSamples(samples: Samples, { batch, cp }: DataOptions): LoadedData {
  if (cp > 1) {
    throw new UsageError(`Cannot use --cp ${cp} with samples: only sequences of tokens can be shared out`);
  }
  checkSamples(samples);
  const { inputs, inputShape, targets } = samples, numSamples = targets.length;
  const perSample = numElements(inputShape);
  if (inputs.length !== numSamples * perSample) {
    throw new UsageError(
      `Cannot train on ${numSamples} targets and ${inputs.length} input values: ` +
        `a sample has ${perSample} values, so ${numSamples * perSample} are needed`,
    );
  }
  const numTrain = samples.numTrain ?? numSamples - Math.floor(numSamples / 10);
  if (numTrain < batch || numTrain > numSamples) {
    throw new UsageError(
      `Cannot train on ${numTrain} of ${numSamples} samples: use at least ${batch} (the batch), at most all`,
    );
  }
  const shared = { inputs: toShared(inputs), targets: toShared(targets) };
  return {
    spec: { kind: "arrays", ...shared, inputShape, targetShape: [], numTrain, numSamples },
    vocab: 256,
    statement: `${numTrain} samples to train, ${numSamples - numTrain} to validate`,
  };
}

/** Types are those of TypeScript; a program in JavaScript may give others. */
function checkSamples(samples: Samples): void {
  const { inputs, inputShape, targets } = Object(samples) as Samples;
  const isShape = Array.isArray(inputShape) &&
    inputShape.every((size) => Number.isSafeInteger(size) && size > 0);
  if (!(inputs instanceof Float32Array) || !(targets instanceof Int32Array) || !isShape) {
    throw new UsageError(
      "Cannot use these data: they must be the path of a file, or { inputs: Float32Array, inputShape: number[], " +
        "targets: Int32Array }",
    );
  }
  const place = inputs.findIndex((value) => !Number.isFinite(value));
  if (place >= 0) throw new UsageError(`Cannot train on these samples: inputs[${place}] is ${inputs[place]}`);
}
