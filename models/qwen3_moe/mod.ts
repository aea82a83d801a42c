/**
 * Qwen3 with experts in place of some feed-forward layers.
 *
 * Source: Yang et al., Qwen3 Technical Report, 2025, section 2.
 *
 * @module
 */
import type { DecoderConfig } from "../decoder/config.ts";
import { decoderFamily } from "../decoder/family.ts";
import type { ConfigFields } from "../decoder/fields.ts";
import { readMixture, writeMixture } from "../decoder/mixture.ts";
import { readWindow, writeWindow } from "../decoder/window_fields.ts";
import type { ModelFamily } from "../family.ts";

/** In the form of Hugging Face's `Qwen3MoeForCausalLM`. */
const qwen3Moe: ModelFamily<DecoderConfig> = decoderFamily({
  name: "Qwen3 MoE",
  module: import.meta.url,
  fields: {
    modelType: "qwen3_moe",
    architecture: "Qwen3MoeForCausalLM",
    presets: { kvHeads: 4 },
    read: (fields, sizes) => {
      const bias = fields.flag("attention_bias", false), sharesWeights = fields.flag("norm_topk_prob", false);
      const mixture = readMixture(fields, {
        ...{ naming: "qwen", experts: ["num_experts", 128], choices: 8, sharesWeights },
        inner: fields.count("moe_intermediate_size", 768),
        denseLayers: readDenseLayers(fields, sizes),
      });
      return {
        ...{ headNorms: true, qkvBias: bias, outputBias: bias, mixture },
        ...readWindow(fields, sizes, fields.flag("use_sliding_window", false)),
      };
    },
    write: (config) => {
      const { experts, inner, denseLayers = [], sharesWeights = false } = config.mixture!;
      return {
        num_experts: experts,
        moe_intermediate_size: inner,
        decoder_sparse_step: 1,
        mlp_only_layers: denseLayers,
        norm_topk_prob: sharesWeights,
        ...writeMixture(config.mixture!),
        attention_bias: config.qkvBias ?? false,
        use_sliding_window: config.window !== undefined,
        ...writeWindow(config),
      };
    },
  },
});

/** Layers without experts: those that are named, and those between every `decoder_sparse_step`-th one. */
function readDenseLayers(fields: ConfigFields, { layers }: DecoderConfig): number[] {
  const step = fields.count("decoder_sparse_step", 1), named = fields.indices("mlp_only_layers");
  return Array.from({ length: layers }, (_, i) => i).filter((i) => named.includes(i) || (i + 1) % step !== 0);
}

export default qwen3Moe;
