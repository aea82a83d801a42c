/**
 * Mistral: Llama with a sliding window.
 *
 * Source: Jiang et al., Mistral 7B, 2023, section 2.
 *
 * @module
 */
import type { DecoderConfig } from "../decoder/config.ts";
import { decoderFamily } from "../decoder/family.ts";
import { readWindow, writeWindow } from "../decoder/window_fields.ts";
import type { ModelFamily } from "../family.ts";

/** In the form of Hugging Face's `MistralForCausalLM`. */
const mistral: ModelFamily<DecoderConfig> = decoderFamily({
  name: "Mistral",
  module: import.meta.url,
  fields: {
    modelType: "mistral",
    architecture: "MistralForCausalLM",
    presets: { kvHeads: 8 },
    read: (fields, sizes) => readWindow(fields, sizes, true),
    write: writeWindow,
  },
});

export default mistral;
