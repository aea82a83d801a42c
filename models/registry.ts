import { UsageError } from "../files/mod.ts";
import type { ModelSpec } from "../nn/mod.ts";
import type { ModelFamily } from "./family.ts";
import gpt2 from "./gpt2/mod.ts";
import gpt2Moe from "./gpt2_moe/mod.ts";
import llama from "./llama/mod.ts";
import mistral from "./mistral/mod.ts";
import mixtral from "./mixtral/mod.ts";
import qwen2 from "./qwen2/mod.ts";
import qwen3 from "./qwen3/mod.ts";
import qwen3Moe from "./qwen3_moe/mod.ts";

/** By `model_type`: adding a family is adding its folder, and here its name. */
const FAMILIES = new Map<string, ModelFamily>(
  [gpt2, gpt2Moe, llama, mistral, mixtral, qwen2, qwen3, qwen3Moe].map((
    family,
  ) => [family.modelType, family as ModelFamily]),
);

/**
 * Makes a family of one's own known to what reads directories: `--init`, `--resume`, `generate`, `export`.
 *
 * @throws {TypeError} If another family has its `model_type`.
 */
export function registerFamily<Config>(family: ModelFamily<Config>): void {
  const known = FAMILIES.get(family.modelType);
  if (known !== undefined && known.module !== family.module) {
    throw new TypeError(
      `Cannot register the family ${family.module}: ${known.module} has the model_type ${family.modelType}`,
    );
  }
  FAMILIES.set(family.modelType, family);
}

/**
 * The family of a parsed `config.json`. Without `model_type` it is GPT-2, whose first files had none.
 *
 * @param path For messages.
 * @throws {UsageError} If no family has its `model_type`.
 */
export function familyOfConfig(json: unknown, path: string): ModelFamily {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UsageError(`Cannot use ${path}: it is not a JSON object`);
  }
  const { model_type: modelType = gpt2.modelType } = json as { model_type?: unknown };
  const family = FAMILIES.get(modelType as string);
  if (family !== undefined) return family;
  const known = [...FAMILIES.keys()].map((name) => JSON.stringify(name)).join(", ");
  throw new UsageError(
    `Cannot use ${path}: model_type is ${JSON.stringify(modelType)}, supported are ${known}`,
  );
}

/** The family of a `model_type`; undefined if there is none. */
export function familyNamed(modelType: string): ModelFamily | undefined {
  return FAMILIES.get(modelType);
}

/** `model_type` of all families. */
export function familyNames(): string[] {
  return [...FAMILIES.keys()];
}

/** A model of a family: what `train` takes. */
export function modelOf<Config>({ module }: ModelFamily<Config>, config: Config): ModelSpec {
  return { module, config };
}
