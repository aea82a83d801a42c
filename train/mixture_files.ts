/**
 * What the directory of a GPT of experts says: a GPT-2's `config.json` with the names that Mixtral has for experts, and
 * the tensors of experts where a GPT-2 has its feed-forward layers.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import { checkMixture, type GptConfig, type MixtureConfig } from "../nn/mod.ts";
import { fromHuggingFaceConfig, gpt2Shapes, type ModelSizes, toHuggingFaceConfig } from "./gpt2_files.ts";

/** Sizes of a GPT, dense or of experts. */
export type GptSizes = ModelSizes & Partial<MixtureConfig>;

const MODEL_TYPE = "tessera_gpt2_moe";

/** Fields of a mixture with what they are when absent; undefined: they must be there. */
const FIELDS = {
  experts: ["num_local_experts", undefined],
  topKExperts: ["num_experts_per_tok", 1],
  capacityFactor: ["expert_capacity_factor", 1.25],
  auxLossCoefficient: ["router_aux_loss_coef", 0.01],
  deadExperts: ["dead_experts", []],
} as const;

/** `config.json` of a GPT: that of Hugging Face's GPT-2 if it has no experts. */
export function toGptConfig(sizes: GptSizes): Record<string, unknown> {
  const dense = toHuggingFaceConfig(sizes);
  if ((sizes.experts ?? 0) === 0) return dense;
  const mixture = Object.entries(FIELDS).map(([key, [field, preset]]) => [
    field,
    sizes[key as keyof typeof FIELDS] ?? preset,
  ]);
  const kind = { model_type: MODEL_TYPE, architectures: ["TesseraGpt2Moe"] };
  return { ...dense, ...kind, ...Object.fromEntries(mixture) };
}

/**
 * The sizes in a parsed `config.json`.
 *
 * @param path For messages.
 * @throws {UsageError} If a size is missing or makes no sense, or it is another kind of model.
 */
export function fromGptConfig(config: unknown, path: string): GptSizes {
  const fields = config as Record<string, unknown> | null;
  if (fields?.model_type !== MODEL_TYPE) return fromHuggingFaceConfig(config, path);
  const sizes = fromHuggingFaceConfig({ ...fields, model_type: "gpt2" }, path);
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

/** Names and shapes of a GPT's parameters: in a mixture every expert has the feed-forward layer of its block. */
export function gptShapes(sizes: GptConfig & ModelSizes): Map<string, readonly number[]> {
  const { experts = 0, embed } = sizes, dense = gpt2Shapes(sizes);
  if (experts === 0) return dense;
  const shapes = new Map<string, readonly number[]>();
  for (const [name, shape] of dense) {
    const [, block, layer] = /^(.*\.mlp)\.(.*)$/.exec(name) ?? [];
    if (block === undefined) shapes.set(name, shape);
    else {
      shapes.set(`${block}.router.weight`, [embed, experts]);
      for (let e = 0; e < experts; e++) shapes.set(`${block}.experts.${e}.${layer}`, shape);
    }
  }
  return shapes;
}
