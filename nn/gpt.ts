import { KeyValueCache } from "./ops/cached_attention.ts";
import { CausalSelfAttention, Embedding, FeedForward, LayerNorm } from "./layers.ts";
import type { Model, ModelSpec } from "./model.ts";
import { project } from "./ops/linear.ts";
import { crossEntropy, type Loss } from "./ops/loss.ts";
import type { Scope } from "./scope.ts";
import type { Tape } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** Sizes of a GPT. */
export interface GptConfig {
  readonly layers: number;
  readonly heads: number;
  /** Width of the residual stream. */
  readonly embed: number;
  /** Longest sequence. */
  readonly context: number;
  readonly vocab: number;
  /** Of the layer norms; by default 1e-5. */
  readonly layerNormEpsilon?: number;
}

/** The spec of a GPT-2 style model; `vocab` is that of byte-level text by default. */
export function gpt(config: Omit<GptConfig, "vocab"> & { readonly vocab?: number }): ModelSpec {
  return { module: import.meta.url, config: { vocab: 256, ...config } };
}

/** Attention and feed-forward, each behind a layer norm and added to the residual stream. */
class Block {
  readonly #norm1: LayerNorm;
  readonly #attention: CausalSelfAttention;
  readonly #norm2: LayerNorm;
  readonly #feedForward: FeedForward;

  constructor(scope: Scope, config: GptConfig) {
    const residualDeviation = 0.02 / Math.sqrt(2 * config.layers);
    const sizes = { embed: config.embed, heads: config.heads, residualDeviation };
    this.#norm1 = new LayerNorm(scope.child("ln_1"), config.embed, config.layerNormEpsilon);
    this.#attention = new CausalSelfAttention(scope.child("attn"), sizes);
    this.#norm2 = new LayerNorm(scope.child("ln_2"), config.embed, config.layerNormEpsilon);
    this.#feedForward = new FeedForward(scope.child("mlp"), sizes);
  }

  forward(tape: Tape, x: Tensor, cache?: KeyValueCache): Tensor {
    const attended = this.#attention.forward(tape, this.#norm1.forward(tape, x), x, cache?.attend);
    return this.#feedForward.forward(tape, this.#norm2.forward(tape, attended), attended);
  }
}

/** What one-token generation works on: fill `id` and `position`, replay the tape, read `logits`. */
export interface Decoder {
  /** i32 [1, 1]. */
  readonly id: Tensor;
  /** i32 [1, 1]; how many tokens came before. */
  readonly position: Tensor;
  /** [1, 1, V]. */
  readonly logits: Tensor;
  /** Must equal `position` before each replay. */
  setPosition(position: number): void;
}

/**
 * GPT-2: pre-norm blocks, learned positions, tied output head; parameter names are those of Hugging Face.
 *
 * Source: Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.3.
 */
export class Gpt implements Model {
  readonly config: GptConfig;
  readonly #tokens: Embedding;
  readonly #positions: Embedding;
  readonly #blocks: readonly Block[];
  readonly #norm: LayerNorm;

  /** @throws {RangeError} If the heads do not divide the width. */
  constructor(scope: Scope, config: GptConfig) {
    if (config.embed % config.heads !== 0) {
      throw new RangeError(
        `Cannot split embed ${config.embed} into ${config.heads} heads: embed must be a multiple of heads`,
      );
    }
    this.config = config;
    this.#tokens = new Embedding(scope.child("wte"), { rows: config.vocab, width: config.embed });
    this.#positions = new Embedding(scope.child("wpe"), { rows: config.context, width: config.embed });
    this.#blocks = Array.from({ length: config.layers }, (_, i) => new Block(scope.child(`h.${i}`), config));
    this.#norm = new LayerNorm(scope.child("ln_f"), config.embed, config.layerNormEpsilon);
  }

  /** Scores of the next token. Shapes: ids i32 [B, T], result [B, T, V]. */
  logits(tape: Tape, ids: Tensor): Tensor {
    const [batch, steps] = ids.shape;
    const positions = tape.constant("positions", ids.shape, "i32", (i) => i % steps);
    if (steps > this.config.context) {
      throw new RangeError(`Cannot read ${steps} tokens (batch ${batch}): context is ${this.config.context}`);
    }
    return this.#run(tape, ids, positions);
  }

  /** Shapes: inputs i32 [B, T], targets i32 [B, T]. */
  loss(tape: Tape, inputs: Tensor, targets: Tensor): Loss {
    return crossEntropy(tape, this.logits(tape, inputs), targets);
  }

  /** Records the pass of one token against cached keys and values of up to `context` tokens. */
  decoder(tape: Tape): Decoder {
    const id = tape.input("id", [1, 1], "i32"), position = tape.input("position", [1, 1], "i32");
    const caches = this.#blocks.map(() => new KeyValueCache(tape, this.config.context, this.config.embed));
    const logits = this.#run(tape, id, position, caches);
    return {
      id,
      position,
      logits,
      setPosition: (value) => {
        tape.heap.i32(position.span)[0] = value;
        for (const cache of caches) cache.length = value;
      },
    };
  }

  #run(tape: Tape, ids: Tensor, positions: Tensor, caches?: readonly KeyValueCache[]): Tensor {
    let x = this.#tokens.forward(tape, ids, this.#positions.forward(tape, positions));
    for (const [i, block] of this.#blocks.entries()) x = block.forward(tape, x, caches?.[i]);
    return project(tape, this.#norm.forward(tape, x), this.#tokens.weight);
  }
}

/** Builds a GPT from its configuration: what a device calls. */
export default function build(scope: Scope, config: GptConfig): Gpt {
  return new Gpt(scope, config);
}
