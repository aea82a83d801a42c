import {
  type CachedLayer,
  Embedding,
  GatedFeedForward,
  Head,
  type Layer,
  type LayerFactory,
  MoeFeedForward,
  normal,
  recomputed,
  RmsNorm,
  RotaryAttention,
  type Scope,
  type Tape,
  type Tensor,
  type TokenCache,
} from "../../nn/mod.ts";
import { checkDecoder, type DecoderConfig, windowOf } from "./config.ts";
import { expertForm, mixtureLayer } from "./mixture.ts";
import { rotaryTable } from "./rope.ts";

/** Names of the token table and of a head of its own. */
export const TABLE = "model.embed_tokens.weight", HEAD = "lm_head.weight";

/** Attention and a feed-forward layer, each behind an RMSNorm and added to the residual stream. */
class Block implements CachedLayer {
  readonly #norm1: RmsNorm;
  readonly #attention: RotaryAttention;
  readonly #norm2: RmsNorm;
  readonly #feedForward: GatedFeedForward | MoeFeedForward;

  constructor(scope: Scope, config: DecoderConfig, layer: number) {
    const { embed, inner, normEpsilon, headDim, rope, context, mixture } = config,
      initialize = normal(config.deviation);
    this.#norm1 = new RmsNorm(scope.child("input_layernorm"), embed, normEpsilon);
    this.#attention = new RotaryAttention(scope.child("self_attn"), {
      ...config,
      window: windowOf(config, layer),
      rotary: rotaryTable(rope, headDim, context),
      headNormEpsilon: config.headNorms ? normEpsilon : undefined,
      initialize,
    });
    this.#norm2 = new RmsNorm(scope.child("post_attention_layernorm"), embed, normEpsilon);
    this.#feedForward = mixture === undefined || mixture.denseLayers?.includes(layer)
      ? new GatedFeedForward(scope.child("mlp"), { embed, inner, bias: config.innerBias, initialize })
      : new MoeFeedForward(
        scope.child(mixtureLayer(mixture)),
        { ...mixture, embed, residualDeviation: config.deviation },
        expertForm(mixture, config.deviation),
      );
  }

  forward(tape: Tape, x: Tensor, cache?: TokenCache): Tensor {
    const attended = this.#attention.forward(tape, this.#norm1.forward(tape, x), x, cache?.attend);
    const feedForward = (t: Tape, y: Tensor) => this.#feedForward.forward(t, this.#norm2.forward(t, y), y);
    if (tape.recompute?.mode !== "selective") return feedForward(tape, attended);
    return recomputed(tape, "feed-forward", [attended], (inner, [y]) => feedForward(inner, y));
  }
}

/** The last norm and the output head. */
class DecoderHead implements Layer {
  readonly #norm: RmsNorm;
  readonly #head: Head;

  constructor(scope: Scope, { vocab, embed, normEpsilon, tied, deviation }: DecoderConfig) {
    const table = { name: tied ? TABLE : HEAD, rows: vocab, width: embed, initialize: normal(deviation) };
    this.#norm = new RmsNorm(scope.child("model").child("norm"), embed, normEpsilon);
    this.#head = new Head(scope.child("lm_head"), table);
  }

  forward(tape: Tape, x: Tensor): Tensor {
    return this.#head.forward(tape, this.#norm.forward(tape, x));
  }
}

function embeddingOf(scope: Scope, { vocab, embed, deviation }: DecoderConfig): Embedding {
  const table = { rows: vocab, width: embed, initialize: normal(deviation) };
  return new Embedding(scope.child("model").child("embed_tokens"), table);
}

function blockOf(scope: Scope, config: DecoderConfig, layer: number): Block {
  return new Block(scope.child("model").child(`layers.${layer}`), config, layer);
}

/** The layers of a decoder: embedding, blocks, head. Names of parameters are those of Hugging Face. */
export function decoderLayers(config: DecoderConfig): LayerFactory[] {
  checkDecoder(config);
  const blocks = Array.from({ length: config.layers }, (_, i) => ({
    name: `layers.${i}`,
    type: "block",
    isRecomputable: true,
    build: (scope: Scope) => blockOf(scope, config, i),
  }));
  return [
    { name: "embedding", type: "embedding", build: (scope) => embeddingOf(scope, config) },
    ...blocks,
    { name: "head", type: "head", build: (scope) => new DecoderHead(scope, config) },
  ];
}
