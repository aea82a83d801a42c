import {
  type CachedLayer,
  CausalSelfAttention,
  checkMixture,
  crossEntropy,
  Embedding,
  FeedForward,
  Head,
  type Layer,
  type LayerFactory,
  LayerNorm,
  type Loss,
  type MixtureConfig,
  type Model,
  MoeFeedForward,
  positionsOf,
  recomputed,
  type Scope,
  type Tape,
  type Tensor,
  type TokenCache,
} from "../../nn/mod.ts";

/** Sizes of a GPT. With `experts` above 0 every block has a mixture of experts where it has a feed-forward layer. */
export interface GptConfig extends Partial<MixtureConfig> {
  /** Number of transformer blocks. */
  readonly layers: number;
  /** Attention heads of a block; must divide `embed`. */
  readonly heads: number;
  /** Width of the residual stream. */
  readonly embed: number;
  /** Longest sequence. */
  readonly context: number;
  /** Number of token ids: rows of the token table, and logits of a position. */
  readonly vocab: number;
  /** Of the layer norms; by default 1e-5. */
  readonly layerNormEpsilon?: number;
  /** Width inside of feed-forward layers; by default `4 embed`. */
  readonly inner?: number;
  /** The gelu with tanh, by default, or with erf; experts have the first. */
  readonly activation?: "gelu" | "geluErf";
  /** The output head is the table of tokens; by default true. */
  readonly tied?: boolean;
}

/** Token and position embeddings, added. */
class GptEmbedding implements Layer {
  readonly #tokens: Embedding;
  readonly #positions: Embedding;

  constructor(scope: Scope, { vocab, context, embed }: GptConfig) {
    this.#tokens = new Embedding(scope.child("wte"), { rows: vocab, width: embed });
    this.#positions = new Embedding(scope.child("wpe"), { rows: context, width: embed });
  }

  forward(tape: Tape, ids: Tensor): Tensor {
    const steps = ids.shape[1], place = (i: number) => tape.positionOf(i % steps);
    const positions = positionsOf(tape, ids.shape) ?? tape.constant("positions", ids.shape, "i32", place);
    return this.#tokens.forward(tape, ids, this.#positions.forward(tape, positions));
  }
}

/** Attention and feed-forward, each behind a layer norm and added to the residual stream. */
class Block implements CachedLayer {
  readonly #norm1: LayerNorm;
  readonly #attention: CausalSelfAttention;
  readonly #norm2: LayerNorm;
  readonly #feedForward: FeedForward | MoeFeedForward;

  constructor(scope: Scope, config: GptConfig) {
    const residualDeviation = 0.02 / Math.sqrt(2 * config.layers);
    const sizes = { embed: config.embed, heads: config.heads, residualDeviation };
    this.#norm1 = new LayerNorm(scope.child("ln_1"), config.embed, config.layerNormEpsilon);
    this.#attention = new CausalSelfAttention(scope.child("attn"), sizes);
    this.#norm2 = new LayerNorm(scope.child("ln_2"), config.embed, config.layerNormEpsilon);
    const { experts = 0 } = config, feedForward = scope.child("mlp");
    this.#feedForward = experts > 0
      ? new MoeFeedForward(feedForward, { ...config, ...sizes, experts })
      : new FeedForward(feedForward, { ...sizes, inner: config.inner, activation: config.activation });
  }

  forward(tape: Tape, x: Tensor, cache?: TokenCache): Tensor {
    const attended = this.#attention.forward(tape, this.#norm1.forward(tape, x), x, cache?.attend);
    const feedForward = (t: Tape, y: Tensor) => this.#feedForward.forward(t, this.#norm2.forward(t, y), y);
    if (tape.recompute?.mode !== "selective") return feedForward(tape, attended);
    return recomputed(tape, "feed-forward", [attended], (inner, [y]) => feedForward(inner, y));
  }
}

/** The last norm and the output head, which may be the table of the token embedding. */
class GptHead implements Layer {
  readonly #norm: LayerNorm;
  readonly #head: Head;

  constructor(scope: Scope, { vocab, embed, layerNormEpsilon, tied = true }: GptConfig) {
    this.#norm = new LayerNorm(scope.child("ln_f"), embed, layerNormEpsilon);
    const name = tied ? "wte.weight" : "lm_head.weight";
    this.#head = new Head(scope.child("lm_head"), { name, rows: vocab, width: embed });
  }

  forward(tape: Tape, x: Tensor): Tensor {
    return this.#head.forward(tape, this.#norm.forward(tape, x));
  }
}

/**
 * GPT-2: pre-norm blocks, learned positions, an output head that is tied or not; parameter names are those of Hugging Face.
 *
 * Source: Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.3.
 */
export class Gpt implements Model {
  /** Sizes of the model. */
  readonly config: GptConfig;
  readonly #embedding: GptEmbedding;
  readonly #blocks: readonly Block[];
  readonly #head: GptHead;

  /**
   * Makes the parameters of all layers in a scope.
   *
   * @throws {RangeError} If the heads do not divide the width.
   */
  constructor(scope: Scope, config: GptConfig) {
    checkSizes(config);
    this.config = config;
    this.#embedding = new GptEmbedding(scope, config);
    this.#blocks = Array.from({ length: config.layers }, (_, i) => new Block(scope.child(`h.${i}`), config));
    this.#head = new GptHead(scope, config);
  }

  /** Scores of the next token. Shapes: ids i32 [B, T], result [B, T, V]. */
  logits(tape: Tape, ids: Tensor): Tensor {
    const [batch, steps] = ids.shape;
    if (steps > this.config.context) {
      throw new RangeError(`Cannot read ${steps} tokens (batch ${batch}): context is ${this.config.context}`);
    }
    let x = this.#embedding.forward(tape, ids);
    for (const block of this.#blocks) x = block.forward(tape, x);
    return this.#head.forward(tape, x);
  }

  /** Shapes: inputs i32 [B, T], targets i32 [B, T]. */
  loss(tape: Tape, inputs: Tensor, targets: Tensor): Loss {
    return crossEntropy(tape, this.logits(tape, inputs), targets);
  }
}

/** The layers of a GPT: embedding, blocks, head. */
export function gptLayers(config: GptConfig): LayerFactory[] {
  checkSizes(config);
  const blocks = Array.from({ length: config.layers }, (_, i) => ({
    name: `h.${i}`,
    type: "block",
    isRecomputable: true,
    build: (scope: Scope) => new Block(scope.child(`h.${i}`), config),
  }));
  return [
    { name: "embedding", type: "embedding", build: (scope) => new GptEmbedding(scope, config) },
    ...blocks,
    { name: "head", type: "head", build: (scope) => new GptHead(scope, config) },
  ];
}

function checkSizes({ embed, heads, experts = 0, activation, ...mixture }: GptConfig): void {
  if (experts !== 0) checkMixture({ ...mixture, experts });
  if (experts !== 0 && activation === "geluErf") {
    throw new RangeError("Cannot build experts with the gelu of erf: theirs is the one with tanh");
  }
  if (embed % heads === 0) return;
  throw new RangeError(`Cannot split embed ${embed} into ${heads} heads: embed must be a multiple of heads`);
}
