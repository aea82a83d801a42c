/**
 * GPT-2 with a mixture of experts in every block.
 *
 * @module
 */
import type { ModelFamily } from "../family.ts";
import gpt2, { type GptConfig } from "../gpt2/mod.ts";
import { fromMixtureConfig, MODEL_TYPE, toMixtureConfig } from "./hugging_face.ts";

export * from "./hugging_face.ts";

/** The layers of GPT-2, which builds experts where its configuration has some. */
const gpt2Moe: ModelFamily<GptConfig> = {
  ...gpt2,
  modelType: MODEL_TYPE,
  module: import.meta.url,
  sizes: (config) => {
    const { experts, topKExperts = 1, capacityFactor = 1.25 } = config;
    return { ...gpt2.sizes(config), experts, topKExperts, capacityFactor };
  },
  configure: (sizes, known) => {
    const { experts, topKExperts, capacityFactor } = sizes;
    const { auxLossCoefficient, deadExperts } = known ?? {};
    const mixture = { experts, topKExperts, capacityFactor, auxLossCoefficient, deadExperts };
    return { ...gpt2.configure(sizes, known), ...mixture };
  },
  checkpoint: { ...gpt2.checkpoint, toConfig: toMixtureConfig, fromConfig: fromMixtureConfig },
};

export default gpt2Moe;
