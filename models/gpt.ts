import type { ModelSpec } from "../nn/mod.ts";
import type { ModelFamily, ModelSizes } from "./family.ts";
import gpt2, { type GptConfig } from "./gpt2/mod.ts";
import gpt2Moe from "./gpt2_moe/mod.ts";

/** The spec of a GPT-2 style model; `vocab` is that of byte-level text by default. */
export function gpt(config: Omit<GptConfig, "vocab"> & { readonly vocab?: number }): ModelSpec {
  return { module: gptFamily(config).module, config: { vocab: 256, ...config } };
}

/** The family that sizes are of if nothing else says so: GPT-2, dense or of experts. */
export function gptFamily({ experts = 0 }: Pick<ModelSizes, "experts">): ModelFamily<GptConfig> {
  return experts > 0 ? gpt2Moe : gpt2;
}
