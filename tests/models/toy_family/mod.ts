/**
 * A model family from outside of the package: one folder, which imports the package's door and is named by nobody in it.
 *
 * Parallel blocks (attention and feed-forward layer side by side) without norms, and a head of its own.
 */
import {
  type CachedLayer,
  CausalSelfAttention,
  Embedding,
  FeedForward,
  type Layer,
  type LayerFactory,
  Linear,
  type ModelFamily,
  positionsOf,
  type Scope,
  type Tape,
  type Tensor,
  type TokenCache,
  UsageError,
} from "../../../mod.ts";

/** Sizes of a toy. */
export interface ToyConfig {
  readonly depth: number;
  readonly heads: number;
  readonly width: number;
  readonly context: number;
  readonly vocab: number;
  /** Has no option of the command line. */
  readonly flavour: string;
}

class ToyBlock implements CachedLayer {
  readonly #attention: CausalSelfAttention;
  readonly #feedForward: FeedForward;

  constructor(scope: Scope, { width, heads }: ToyConfig) {
    const sizes = { embed: width, heads, residualDeviation: 0.02 };
    this.#attention = new CausalSelfAttention(scope.child("attn"), sizes);
    this.#feedForward = new FeedForward(scope.child("ff"), sizes);
  }

  forward(tape: Tape, x: Tensor, cache?: TokenCache): Tensor {
    return this.#feedForward.forward(tape, x, this.#attention.forward(tape, x, x, cache?.attend));
  }
}

class ToyEmbedding implements Layer {
  readonly #tokens: Embedding;
  readonly #positions: Embedding;

  constructor(scope: Scope, { vocab, width, context }: ToyConfig) {
    this.#tokens = new Embedding(scope.child("tokens"), { rows: vocab, width });
    this.#positions = new Embedding(scope.child("places"), { rows: context, width });
  }

  forward(tape: Tape, ids: Tensor): Tensor {
    const steps = ids.shape[1], place = (i: number) => tape.positionOf(i % steps);
    const places = positionsOf(tape, ids.shape) ?? tape.constant("places", ids.shape, "i32", place);
    return this.#tokens.forward(tape, ids, this.#positions.forward(tape, places));
  }
}

const blockOf = (scope: Scope, config: ToyConfig, i: number) =>
  new ToyBlock(scope.child(`blocks.${i}`), config);
const headOf = (scope: Scope, { width, vocab }: ToyConfig) =>
  new Linear(scope.child("scores"), { inputs: width, outputs: vocab, bias: false });

/** The family. */
const toy: ModelFamily<ToyConfig> = {
  modelType: "toy",
  name: "Toy",
  module: import.meta.url,
  layers: (config): LayerFactory[] => [
    { name: "embedding", type: "embedding", build: (scope) => new ToyEmbedding(scope, config) },
    ...Array.from({ length: config.depth }, (_, i) => ({
      ...{ name: `blocks.${i}`, type: "block", isRecomputable: true },
      build: (scope: Scope) => blockOf(scope, config, i),
    })),
    { name: "scores", type: "head", build: (scope) => headOf(scope, config) },
  ],
  plan: ({ width, heads }) => ({
    "tokens": { kind: "vocab" },
    "places": { kind: "local" },
    "blocks.*.attn.c_attn": { kind: "column", parts: 3, unit: width / heads },
    "blocks.*.attn.c_proj": { kind: "row", unit: width / heads },
    "blocks.*.ff.c_fc": { kind: "column" },
    "blocks.*.ff.c_proj": { kind: "row" },
    "scores": { kind: "head" },
  }),
  sizes: ({ depth, heads, width, context, vocab }) => ({
    layers: depth,
    heads,
    embed: width,
    context,
    vocab,
  }),
  configure: ({ layers, heads, embed, context, vocab }, known) => {
    return { depth: layers, heads, width: embed, context, vocab, flavour: known?.flavour ?? "plain" };
  },
  checkpoint: {
    toConfig: (config) => ({ model_type: "toy", ...config }),
    fromConfig: (json, path) => {
      const { model_type: _, ...config } = json as { model_type: string } & ToyConfig;
      if (Number.isInteger(config.depth)) return config;
      throw new UsageError(`Cannot use ${path}: depth is ${config.depth}, it must be a whole number`);
    },
  },
};

export default toy;
