/**
 * GPT-2: pre-norm blocks with learned positions and a tied output head.
 *
 * @module
 */
import type { ModelFamily } from "../family.ts";
import { dropoutRates, fromHuggingFaceConfig, toHuggingFaceConfig } from "./hugging_face.ts";
import { type GptConfig, gptLayers } from "./model.ts";
import { isGpt2Extra, nameGpt2Tensors, shortenPositions } from "./names.ts";
import { gptPlan } from "./plan.ts";

export * from "./hugging_face.ts";
export * from "./model.ts";
export * from "./names.ts";
export * from "./plan.ts";

/** Dense GPT-2 models, in the form of Hugging Face's `GPT2LMHeadModel`. */
const gpt2: ModelFamily<GptConfig> = {
  modelType: "gpt2",
  name: "GPT",
  module: import.meta.url,
  layers: gptLayers,
  plan: gptPlan,
  sizes: ({ layers, heads, embed, context, vocab, inner, tied }) => {
    return { layers, heads, embed, context, vocab, inner, tied };
  },
  configure: ({ layers, heads, embed, context, vocab, inner, tied }, known) => {
    const { layerNormEpsilon, activation } = known ?? {};
    return { layerNormEpsilon, activation, layers, heads, embed, context, vocab, inner, tied };
  },
  checkpoint: {
    toConfig: toHuggingFaceConfig,
    fromConfig: fromHuggingFaceConfig,
    ignored: (json) => {
      const rates = dropoutRates(json);
      return rates.length === 0 ? [] : [`dropout (${rates.join(", ")})`];
    },
    moduleName: (name) => name.startsWith("lm_head.") || name === "lm_head" ? name : `transformer.${name}`,
    isExtra: isGpt2Extra,
    adapt: nameGpt2Tensors,
    shorten: shortenPositions,
  },
};

export default gpt2;
