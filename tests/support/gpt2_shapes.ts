import type { GptConfig } from "../../models/mod.ts";

/** Names and shapes of a GPT-2's parameters, in the order of the file; Conv1D weights are `[in, out]`. */
export function gpt2Shapes(sizes: GptConfig): Map<string, readonly number[]> {
  const { layers, embed, context, vocab } = sizes;
  const shapes = new Map<string, readonly number[]>();
  shapes.set("wte.weight", [vocab, embed]);
  shapes.set("wpe.weight", [context, embed]);
  for (let i = 0; i < layers; i++) {
    const pair = (name: string, weight: readonly number[]) => {
      shapes.set(`h.${i}.${name}.weight`, weight);
      shapes.set(`h.${i}.${name}.bias`, [weight.at(-1)!]);
    };
    pair("ln_1", [embed]);
    pair("attn.c_attn", [embed, 3 * embed]);
    pair("attn.c_proj", [embed, embed]);
    pair("ln_2", [embed]);
    pair("mlp.c_fc", [embed, 4 * embed]);
    pair("mlp.c_proj", [4 * embed, embed]);
  }
  shapes.set("ln_f.weight", [embed]);
  shapes.set("ln_f.bias", [embed]);
  return shapes;
}

/** Names and shapes of a GPT's parameters: in a mixture every expert has the feed-forward layer of its block. */
export function gptShapes(sizes: GptConfig): Map<string, readonly number[]> {
  const { experts = 0, embed } = sizes, dense = gpt2Shapes(sizes);
  if (experts === 0) return dense;
  const shapes = new Map<string, readonly number[]>();
  for (const [name, shape] of dense) {
    const [, block, layer] = /^(.*\.mlp)\.(.*)$/.exec(name) ?? [];
    if (block === undefined) shapes.set(name, shape);
    else {
      shapes.set(`${block}.router.weight`, [embed, experts]);
      for (let e = 0; e < experts; e++) shapes.set(`${block}.experts.${e}.${layer}`, shape);
    }
  }
  return shapes;
}
