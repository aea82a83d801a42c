/**
 * Qwen3: Llama with norms of the heads of queries and keys, whose width is a size of its own.
 *
 * Source: Yang et al., Qwen3 Technical Report, 2025, section 2.
 *
 * @module
 */
import type { DecoderConfig } from "../decoder/config.ts";
import { decoderFamily } from "../decoder/family.ts";
import { readWindow, writeWindow } from "../decoder/window_fields.ts";
import type { ModelFamily } from "../family.ts";

/** In the form of Hugging Face's `Qwen3ForCausalLM`. */
const qwen3: ModelFamily<DecoderConfig> = decoderFamily({
  name: "Qwen3",
  module: import.meta.url,
  fields: {
    modelType: "qwen3",
    architecture: "Qwen3ForCausalLM",
    presets: { kvHeads: 32, headDim: 128 },
    read: (fields, sizes) => {
      const bias = fields.flag("attention_bias", false);
      return {
        ...{ headNorms: true, qkvBias: bias, outputBias: bias },
        ...readWindow(fields, sizes, fields.flag("use_sliding_window", false)),
      };
    },
    write: (config) => ({
      attention_bias: config.qkvBias ?? false,
      use_sliding_window: config.window !== undefined,
      ...writeWindow(config),
    }),
  },
});

export default qwen3;
