/**
 * Qwen2: Llama with biases of queries, keys and values.
 *
 * Source: Yang et al., Qwen2 Technical Report, 2024, section 2.
 *
 * @module
 */
import type { DecoderConfig } from "../decoder/config.ts";
import { decoderFamily } from "../decoder/family.ts";
import { readWindow, writeWindow } from "../decoder/window_fields.ts";
import type { ModelFamily } from "../family.ts";

/** In the form of Hugging Face's `Qwen2ForCausalLM`. */
const qwen2: ModelFamily<DecoderConfig> = decoderFamily({
  name: "Qwen2",
  module: import.meta.url,
  fields: {
    modelType: "qwen2",
    architecture: "Qwen2ForCausalLM",
    presets: { kvHeads: 32 },
    read: (fields, sizes) => ({
      qkvBias: true,
      ...readWindow(fields, sizes, fields.flag("use_sliding_window", false)),
    }),
    write: (config) => ({ use_sliding_window: config.window !== undefined, ...writeWindow(config) }),
  },
});

export default qwen2;
