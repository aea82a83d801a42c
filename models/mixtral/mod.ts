/**
 * Mixtral: Mistral with experts in place of feed-forward layers.
 *
 * Source: Jiang et al., Mixtral of Experts, 2024, section 2.
 *
 * @module
 */
import type { DecoderConfig } from "../decoder/config.ts";
import { decoderFamily } from "../decoder/family.ts";
import { readMixture, writeMixture } from "../decoder/mixture.ts";
import { readWindow, writeWindow } from "../decoder/window_fields.ts";
import type { ModelFamily } from "../family.ts";

/** In the form of Hugging Face's `MixtralForCausalLM`. */
const mixtral: ModelFamily<DecoderConfig> = decoderFamily({
  name: "Mixtral",
  module: import.meta.url,
  fields: {
    modelType: "mixtral",
    architecture: "MixtralForCausalLM",
    presets: { kvHeads: 8, normEpsilon: 1e-5, theta: 1e6 },
    fixed: { router_jitter_noise: [0] },
    read: (fields, sizes) => {
      const experts = ["num_local_experts", 8] as const, { inner } = sizes;
      const mixture = readMixture(fields, {
        naming: "mixtral",
        experts,
        choices: 2,
        inner,
        sharesWeights: true,
      });
      return { ...readWindow(fields, sizes, true), mixture };
    },
    write: (config) => ({
      num_local_experts: config.mixture!.experts,
      ...writeMixture(config.mixture!),
      ...writeWindow(config),
    }),
  },
});

export default mixtral;
