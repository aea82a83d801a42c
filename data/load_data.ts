import { UsageError } from "../files/mod.ts";
import { toShared } from "../kernels/mod.ts";
import { loadCorpus } from "./corpus.ts";
import type { OrderOptions } from "./order.ts";
import type { DataSpec } from "./source.ts";

/** The part of a run's configuration that its data depend on. */
export interface DataOptions extends Pick<OrderOptions, "order" | "batch" | "context"> {
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

/** Data in shared memory. */
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
  const { vocab, context, batch, steps, order } = config;
  const minTrainTokens = order === "sequential" ? steps * batch * context + 1 : 0;
  const corpus = await loadCorpus(data, { vocab, context, batch, minTrainTokens });
  const { tokens, train, validation, statement } = corpus;
  return { spec: { kind: "tokens", tokens, context, train, validation }, vocab: corpus.vocab, statement };
}

function loadSamples(samples: Samples, { batch, cp }: DataOptions): LoadedData {
  if (cp > 1) {
    throw new UsageError(`Cannot use --cp ${cp} with samples: only sequences of tokens can be shared out`);
  }
  const { inputs, inputShape, targets } = samples, numSamples = targets.length;
  const perSample = inputShape.reduce((product, size) => product * size, 1);
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
