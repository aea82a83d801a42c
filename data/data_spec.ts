/**
 * What data are, as they are posted to devices: tokens, or arrays of samples.
 *
 * @module
 */
import type { TokenRange } from "./corpus.ts";
import type { Tokens } from "./tokens.ts";

/** A corpus of tokens; sample = `context` tokens and the `context` tokens one further on. */
export interface TokenData {
  /** Tells kinds of data apart. */
  readonly kind: "tokens";
  /** Name for people. */
  readonly name: string;
  /** Where they lie. */
  readonly tokens: Tokens;
  /** Where those of {@link validation} lie, if not there. */
  readonly validationTokens?: Tokens;
  /** Every token must be smaller. */
  readonly vocab: number;
  /** Tokens of a sample. */
  readonly context: number;
  /** Tokens to train on; starts at 0. */
  readonly train: TokenRange;
  /** Tokens that are held out, if any. */
  readonly validation: TokenRange | undefined;
  /** Samples of an evaluation at most, from the first one on; by default 1024, evenly spread. */
  readonly evaluated?: number;
}

/** Features or token ids, and targets; the last samples validate. */
export interface ArrayData {
  /** Tells kinds of data apart. */
  readonly kind: "arrays";
  /** [numSamples, ...inputShape]. */
  readonly inputs: Float32Array | Int32Array;
  /** [numSamples, ...inputShape]: where in its sample each token's document begins, if several share one. */
  readonly documents?: Int32Array;
  /** Shape of the inputs of one sample. */
  readonly inputShape: readonly number[];
  /** [numSamples, ...targetShape]; negative = masked. */
  readonly targets: Int32Array;
  /** Shape of the targets of one sample; empty for one class. */
  readonly targetShape: readonly number[];
  /** The first samples train. */
  readonly numTrain: number;
  /** All samples; those after `numTrain` validate. */
  readonly numSamples: number;
}

/** Data of a job, as it is posted to devices. */
export type DataSpec = TokenData | ArrayData;

/** Data that every rank can read. */
export interface LoadedData {
  /** What every rank is sent. */
  readonly spec: DataSpec;
  /** Token ids are below it. */
  readonly vocab: number;
  /** One line on it. */
  readonly statement: string;
}
