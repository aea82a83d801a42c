import type { LayeredModel } from "../../../models/mod.ts";
import {
  attend,
  CausalSelfAttention,
  crossEntropy,
  Embedding,
  Head,
  type Layer,
  LayerNorm,
  Linear,
  type Model,
  normal,
  type Scope,
  separateInputs,
  type Tape,
  type Tensor,
} from "../../../nn/mod.ts";
import type { ParallelPlan } from "../../../strategies/mod.ts";

/** Sizes of a layer of attention whose heads of queries share heads of keys, between a table and its head. */
export interface GroupedConfig {
  readonly vocab: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** With projections of their own for q, k and v; by default one. */
  readonly isSeparate?: boolean;
}

/** How it is split. */
export function groupedPlan({ heads, kvHeads, headDim, isSeparate }: GroupedConfig): ParallelPlan {
  const group = heads / kvHeads, ofQueries = group * headDim;
  return {
    "wte": { kind: "vocab" },
    ...(isSeparate
      ? {
        "attn.q_proj": { kind: "column", unit: ofQueries },
        "attn.k_proj": { kind: "column", unit: headDim },
        "attn.v_proj": { kind: "column", unit: headDim },
      }
      : { "attn.c_attn": { kind: "column", parts: [group, 1, 1], unit: headDim } }),
    "attn.c_proj": { kind: "row", unit: ofQueries },
    "lm_head": { kind: "head", table: "wte" },
  };
}

/** Makes the model. */
export function buildGrouped(scope: Scope, config: GroupedConfig): Model {
  const layer = buildLayer(scope, config);
  return { loss: (tape, ids, targets) => crossEntropy(tape, layer.forward(tape, ids), targets) };
}

/** All of it as one layer. */
function buildLayer(scope: Scope, config: GroupedConfig): Layer {
  const { vocab, heads, headDim, isSeparate } = config, embed = heads * headDim;
  const table = new Embedding(scope.child("wte"), { rows: vocab, width: embed, initialize: normal(0.5) });
  const norms = ["ln_1", "ln_2"].map((name) => new LayerNorm(scope.child(name), embed)),
    attn = scope.child("attn");
  const attention = isSeparate
    ? separateAttention(attn, config)
    : new CausalSelfAttention(attn, { ...config, embed, residualDeviation: 0.3 });
  const head = new Head(scope.child("lm_head"), { name: "wte.weight", rows: vocab, width: embed });
  return {
    forward: (tape, ids) => {
      const x = table.forward(tape, ids), y = attention.forward(tape, norms[0].forward(tape, x), x);
      return head.forward(tape, norms[1].forward(tape, y));
    },
  };
}

/** Attention as a model with three projections writes it. */
function separateAttention(scope: Scope, { heads, kvHeads, headDim }: GroupedConfig) {
  const inputs = heads * headDim, initialize = normal(0.3), compute = scope.hooks?.attend ?? attend;
  const linear = (name: string, outputs: number) =>
    new Linear(scope.child(name), { inputs, outputs, bias: name === "c_proj", initialize });
  const q = linear("q_proj", inputs), k = linear("k_proj", kvHeads * headDim);
  const v = linear("v_proj", kvHeads * headDim), project = linear("c_proj", inputs);
  return {
    forward: (tape: Tape, x: Tensor, residual: Tensor): Tensor => {
      const [queries, keys, values] = [q, k, v].map((layer) => layer.forward(tape, x));
      const mixed = compute(tape, separateInputs({ q: queries, k: keys, v: values }, headDim));
      return project.forward(tape, mixed, { residual });
    },
  };
}

/** What a run loads. */
const model: LayeredModel<GroupedConfig> = {
  layers: (config) => [{ name: "model", type: "model", build: (scope) => buildLayer(scope, config) }],
  plan: groupedPlan,
};

export default model;
