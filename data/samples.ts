/**
 * Samples of a user's own: features with classes, or sequences of token ids with a target for each token.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import { numElements, toShared } from "../kernels/mod.ts";
import type { LoadedData } from "./data_spec.ts";

/** Samples of a user's own. The last tenth validates unless `numTrain` says otherwise. */
export interface Samples {
  /** [numSamples, ...inputShape]: features, or token ids. */
  readonly inputs: Float32Array | Int32Array;
  /** Shape of one sample. */
  readonly inputShape: readonly number[];
  /** [numSamples, ...targetShape] classes, or next tokens; negative = does not count. */
  readonly targets: Int32Array;
  /** Shape of the targets of one sample; by default one class. */
  readonly targetShape?: readonly number[];
  /** i32 [numSamples, ...inputShape]: where in its sample each token's document begins, if several share one. */
  readonly documents?: Int32Array;
  /** The first samples train, the others validate. */
  readonly numTrain?: number;
}

/** What a run asks of samples. */
export interface SampleNeeds {
  /** Samples of a step. */
  readonly batch: number;
  /** Devices that share out the tokens of each sequence. */
  readonly cp: number;
  /** Vocabulary of the model; undefined: what the samples say. */
  readonly vocab: number | undefined;
}

/**
 * Puts samples where every rank can read them.
 *
 * @throws {UsageError} If they do not fit each other, the vocabulary, or the run.
 */
export function loadSamples(samples: Samples, { batch, cp, vocab }: SampleNeeds): LoadedData {
  if (cp > 1) {
    throw new UsageError(`Cannot use --cp ${cp} with samples: only sequences of tokens can be shared out`);
  }
  checkSamples(samples);
  const { inputs, inputShape, targets, targetShape = [], documents } = samples;
  const numSamples = targets.length / numElements(targetShape), perSample = numElements(inputShape);
  if (inputs.length !== numSamples * perSample) {
    throw new UsageError(
      `Cannot train on ${targets.length} targets and ${inputs.length} input values: ` +
        `a sample has ${perSample} values, so ${numSamples * perSample} are needed`,
    );
  }
  if (documents !== undefined) checkDocuments(documents, inputs.length, perSample);
  const numTrain = samples.numTrain ?? numSamples - Math.floor(numSamples / 10);
  if (numTrain < batch || numTrain > numSamples) {
    throw new UsageError(
      `Cannot train on ${numTrain} of ${numSamples} samples: use at least ${batch} (the batch), at most all`,
    );
  }
  const shared = {
    inputs: toShared(inputs),
    targets: toShared(targets),
    ...(documents && { documents: toShared(documents) }),
  };
  return {
    spec: { kind: "arrays", ...shared, inputShape, targetShape, numTrain, numSamples },
    vocab: inputs instanceof Int32Array ? vocabularyOf(inputs, targets, vocab) : 256,
    statement: `${numTrain} samples to train, ${numSamples - numTrain} to validate`,
  };
}

/** Types are those of TypeScript; a program in JavaScript may give others. */
function checkSamples(samples: Samples): void {
  const { inputs, inputShape, targets, targetShape = [], documents } = Object(samples) as Samples;
  const isShape = (shape: unknown) => {
    return Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size > 0);
  };
  const areInputs = inputs instanceof Float32Array || inputs instanceof Int32Array;
  const areIds = [targets, documents ?? targets].every((ids) => ids instanceof Int32Array);
  if (!areInputs || !areIds || !isShape(inputShape) || !isShape(targetShape)) {
    throw new UsageError(
      "Cannot use these data: they must be the path of a file, or { inputs: Float32Array or Int32Array, " +
        "inputShape: number[], targets: Int32Array }",
    );
  }
  const place = inputs.findIndex((value: number) => !Number.isFinite(value));
  if (place >= 0) throw new UsageError(`Cannot train on these samples: inputs[${place}] is ${inputs[place]}`);
}

/** A document begins at its first token, and goes on until another one does. */
function checkDocuments(documents: Int32Array, length: number, perSample: number): void {
  if (documents.length !== length) {
    throw new UsageError(
      `Cannot train on ${documents.length} places of documents: there is one for each of ${length} tokens`,
    );
  }
  const place = documents.findIndex((start, i) => {
    const at = i % perSample;
    return start !== at && (at === 0 || start !== documents[i - 1]);
  });
  if (place < 0) return;
  throw new UsageError(
    `Cannot train on these samples: documents[${place}] is ${documents[place]}, token ${
      place % perSample
    } of its sample; it must be that place, where a document begins, or be that of the token before`,
  );
}

function vocabularyOf(inputs: Int32Array, targets: Int32Array, vocab: number | undefined): number {
  const largest = [inputs, targets].reduce((most, ids) => ids.reduce((a, b) => Math.max(a, b), most), 0);
  const place = inputs.findIndex((id) => id < 0);
  if (place >= 0) {
    throw new UsageError(
      `Cannot train on these samples: inputs[${place}] is ${inputs[place]}, which is no token`,
    );
  }
  if (vocab === undefined || largest < vocab) return vocab ?? largest + 1;
  throw new UsageError(
    `Cannot train on these samples: token ${largest} is outside the vocabulary of ${vocab}; ` +
      "check that they are of the model's tokenizer, or give the tokenizer's --vocab",
  );
}
