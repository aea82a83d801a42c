/**
 * Llama: the decoder that the others differ from.
 *
 * Source: Touvron et al., Llama, 2023; Dubey et al., The Llama 3 Herd of Models, 2024.
 *
 * @module
 */
import type { DecoderConfig } from "../decoder/config.ts";
import { decoderFamily } from "../decoder/family.ts";
import type { ModelFamily } from "../family.ts";

/** In the form of Hugging Face's `LlamaForCausalLM`. */
const llama: ModelFamily<DecoderConfig> = decoderFamily({
  name: "Llama",
  module: import.meta.url,
  fields: {
    modelType: "llama",
    architecture: "LlamaForCausalLM",
    fixed: { pretraining_tp: [1] },
    read: (fields) => {
      const bias = fields.flag("attention_bias", false);
      return { qkvBias: bias, outputBias: bias, innerBias: fields.flag("mlp_bias", false) };
    },
    write: ({ qkvBias = false, innerBias = false }) => ({ attention_bias: qkvBias, mlp_bias: innerBias }),
  },
});

export default llama;
