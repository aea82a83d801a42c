/**
 * A user's own language model whose norms are RMSNorm: blocks as those of a GPT, split and cut as those are.
 *
 * @module
 */
import {
  CausalSelfAttention,
  Embedding,
  FeedForward,
  Head,
  type Layer,
  type LayerFactory,
  RmsNorm,
  type Scope,
  type Tape,
  type Tensor,
} from "../../../nn/mod.ts";
import { gptPlan, type LayeredModel } from "../../../models/mod.ts";

/** Sizes of the model. */
export interface RmsModelConfig {
  readonly blocks: number;
  readonly heads: number;
  readonly embed: number;
  readonly vocab: number;
}

/** Each layer of the model normalises what it reads. */
function layers({ blocks, heads, embed, vocab }: RmsModelConfig): readonly LayerFactory[] {
  const block = (scope: Scope): Layer => {
    const sizes = { embed, heads, residualDeviation: 0.02 };
    const norm1 = new RmsNorm(scope.child("norm_1"), embed),
      norm2 = new RmsNorm(scope.child("norm_2"), embed);
    const attention = new CausalSelfAttention(scope.child("attn"), sizes);
    const feedForward = new FeedForward(scope.child("mlp"), sizes);
    return {
      forward(tape: Tape, x: Tensor): Tensor {
        const attended = attention.forward(tape, norm1.forward(tape, x), x);
        return feedForward.forward(tape, norm2.forward(tape, attended), attended);
      },
    };
  };
  const head = (scope: Scope): Layer => {
    const norm = new RmsNorm(scope.child("norm"), embed);
    const table = new Head(scope.child("lm_head"), { name: "wte.weight", rows: vocab, width: embed });
    return { forward: (tape, x) => table.forward(tape, norm.forward(tape, x)) };
  };
  return [
    {
      name: "embedding",
      type: "embedding",
      build: (scope) => new Embedding(scope.child("wte"), { rows: vocab, width: embed }),
    },
    ...Array.from({ length: blocks }, (_, i) => {
      const name = `h.${i}`;
      const build = (scope: Scope) => block(scope.child(name));
      return { name, type: "block", isRecomputable: true, build };
    }),
    { name: "head", type: "head", build: head },
  ];
}

/** The splits are those of a GPT, whose layers have the same names; there is no table of positions. */
const model: LayeredModel<RmsModelConfig> = {
  layers,
  plan: (config) => {
    const { wpe: _, ...splits } = gptPlan(config);
    return splits;
  },
};

export default model;
