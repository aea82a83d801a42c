/**
 * What the directory of a GPT of experts says: a GPT-2's `config.json` with the names that Mixtral has for experts, and
 * the tensors of experts where a GPT-2 has its feed-forward layers.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import { checkMixture, type MixtureConfig } from "../../nn/mod.ts";
import { fromHuggingFaceConfig, toHuggingFaceConfig } from "../gpt2/hugging_face.ts";
import { type GptConfig } from "../gpt2/model.ts";

/** `model_type` of the family. */
export const MODEL_TYPE = "tessera_gpt2_moe";

/** Fields of a mixture with what they are when absent; undefined: they must be there. */
const FIELDS = {
  experts: ["num_local_experts", undefined],
  topKExperts: ["num_experts_per_tok", 1],
  capacityFactor: ["expert_capacity_factor", 1.25],
  auxLossCoefficient: ["router_aux_loss_coef", 0.01],
  deadExperts: ["dead_experts", []],
} as const;

/** `config.json` of a mixture: that of Hugging Face's GPT-2, and its experts. */
export function toMixtureConfig(config: GptConfig): Record<string, unknown> {
  const mixture = Object.entries(FIELDS).map(([key, [field, preset]]) => [
    field,
    config[key as keyof typeof FIELDS] ?? preset,
  ]);
  const kind = { model_type: MODEL_TYPE, architectures: ["TesseraGpt2Moe"] };
  return { ...toHuggingFaceConfig(config), ...kind, ...Object.fromEntries(mixture) };
}

/**
 * The sizes in a parsed `config.json`.
 *
 * @param path For messages.
 * @throws {UsageError} If a size is missing or makes no sense, or it is another kind of model.
 */
export function fromMixtureConfig(json: unknown, path: string): GptConfig {
  const fields = json as Record<string, unknown>;
  const sizes = fromHuggingFaceConfig({ ...fields, model_type: "gpt2" }, path);
  checkExperts(sizes, path);
  const entries = Object.entries(FIELDS).map(([key, [field, preset]]) => {
    const value = fields[field] ?? preset, isList = key === "deadExperts";
    if (isList ? Array.isArray(value) : typeof value === "number") return [key, value];
    throw new UsageError(
      `Cannot use ${path}: ${field} is ${JSON.stringify(value) ?? "missing"}, it must be a ${
        isList ? "list" : "number"
      }`,
    );
  });
  const mixture = Object.fromEntries(entries) as Required<MixtureConfig>;
  try {
    checkMixture(mixture);
  } catch (error) {
    throw new UsageError(`Cannot use ${path}: ${(error as Error).message}`);
  }
  return { ...sizes, ...mixture };
}

/** Experts have four times the width, and the gelu with tanh. */
function checkExperts({ embed, inner = 4 * embed, activation }: GptConfig, path: string): void {
  if (activation === "geluErf") {
    throw new UsageError(`Cannot use ${path}: activation_function is that of erf, experts have "gelu_new"`);
  }
  if (inner === 4 * embed) return;
  throw new UsageError(`Cannot use ${path}: n_inner is ${inner}, experts have 4 x n_embd, here ${4 * embed}`);
}
