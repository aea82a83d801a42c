import type { DecoderMixture } from "./mixture.ts";
import type { RopeConfig } from "./rope.ts";

/** Sizes of a decoder of Llama's kind: what its families have in common, and where they differ. */
export interface DecoderConfig {
  /** Number of transformer blocks. */
  readonly layers: number;
  /** Heads of queries. */
  readonly heads: number;
  /** Heads of keys and values: a divisor of `heads`. */
  readonly kvHeads: number;
  /** Elements of a head: even. */
  readonly headDim: number;
  /** Width of the residual stream. */
  readonly embed: number;
  /** Width inside of the feed-forward layers, or of an expert. */
  readonly inner: number;
  /** Longest sequence. */
  readonly context: number;
  /** Number of token ids: rows of the token table, and logits of a position. */
  readonly vocab: number;
  /** Of the norms. */
  readonly normEpsilon: number;
  /** Positions. */
  readonly rope: RopeConfig;
  /** The head is the table of the token embedding. */
  readonly tied: boolean;
  /** Layers of queries, keys and values have biases. */
  readonly qkvBias?: boolean;
  /** The output layer of attention has a bias. */
  readonly outputBias?: boolean;
  /** Layers of the feed-forward layer have biases. */
  readonly innerBias?: boolean;
  /** Queries and keys are normalised. */
  readonly headNorms?: boolean;
  /** A query sees itself and that many tokens less one before it; by default all before it. */
  readonly window?: number;
  /** Layers that see all tokens in spite of a window. */
  readonly fullLayers?: readonly number[];
  /** Deviation of the initial weights. */
  readonly deviation: number;
  /** Experts in place of feed-forward layers. */
  readonly mixture?: DecoderMixture;
}

/**
 * Checks sizes before anything is built.
 *
 * @throws {RangeError} Says what does not go together.
 */
export function checkDecoder({ heads, kvHeads, headDim, layers }: DecoderConfig): void {
  if (heads % kvHeads !== 0) {
    throw new RangeError(`Cannot share ${kvHeads} heads of keys among ${heads}: kvHeads must divide heads`);
  }
  if (headDim % 2 !== 0) {
    throw new RangeError(`Cannot turn heads of ${headDim} elements by their positions: headDim must be even`);
  }
  if (!(layers >= 1)) throw new RangeError(`Cannot build ${layers} layers: there must be at least one`);
}

/** Window of a layer; undefined: it sees all tokens before. */
export function windowOf({ window, fullLayers = [] }: DecoderConfig, layer: number): number | undefined {
  return fullLayers.includes(layer) ? undefined : window;
}
