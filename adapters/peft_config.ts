/**
 * `adapter_config.json`, as PEFT writes and reads it.
 *
 * Source: huggingface.co/docs/peft, `LoraConfig` and "PEFT checkpoint format".
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import type { AdapterSize } from "../nn/mod.ts";

/** How adapters are made, and of which model. */
export interface LoraConfig {
  /** Rows between the two weights of an adapter. */
  readonly rank: number;
  /** An adapter's result counts alpha / rank times. */
  readonly alpha: number;
  /** ... or alpha / sqrt(rank) times: Kalajdzievski, A Rank Stabilization Scaling Factor, 2023. */
  readonly isStable?: boolean;
  /** Ranks of layers that have others, by a regular expression that the end of a path must match. */
  readonly ranks?: Readonly<Record<string, number>>;
  /** The same of alpha. */
  readonly alphas?: Readonly<Record<string, number>>;
  /** Names of the layers. */
  readonly targets: readonly string[];
  /** The directory of the model; empty if the file does not say. */
  readonly base: string;
}

/** Fields that change the arithmetic, with the values that are computed here; null and absent mean those. */
const FIXED: Readonly<Record<string, (value: unknown) => boolean>> = {
  peft_type: (value) => value === "LORA",
  bias: (value) => value === "none",
  use_dora: (value) => value === false,
  use_qalora: (value) => value === false,
  lora_bias: (value) => value === false,
  modules_to_save: isEmpty,
  layer_replication: isEmpty,
  target_parameters: isEmpty,
  trainable_token_indices: isEmpty,
  alora_invocation_tokens: isEmpty,
  megatron_config: isEmpty,
  arrow_config: isEmpty,
  // The others change the base model, too.
  init_lora_weights: (value) => typeof value === "boolean" || value === "gaussian" || value === "orthogonal",
};

/** An empty list or table. */
function isEmpty(value: unknown): boolean {
  return typeof value === "object" && Object.keys(value!).length === 0;
}

/**
 * Reads a parsed `adapter_config.json`.
 *
 * @param path For messages.
 * @throws {UsageError} Names a field that is missing, makes no sense, or asks for what is not computed.
 */
export function readPeftConfig(json: unknown, path: string): LoraConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UsageError(`Cannot use ${path}: it is not a JSON object`);
  }
  const fields = json as Record<string, unknown>;
  const fail = (key: string, allowed: string): never => {
    throw new UsageError(
      `Cannot use ${path}: ${key} is ${JSON.stringify(fields[key]) ?? "missing"}, ${allowed}`,
    );
  };
  if (fields.peft_type === undefined) fail("peft_type", `supported is "LORA"`);
  for (const [key, isComputed] of Object.entries(FIXED)) {
    const value = fields[key];
    if (value === undefined || value === null || isComputed(value)) continue;
    fail(
      key,
      key === "peft_type" ? `supported is "LORA"` : "which is not supported; train an adapter without it",
    );
  }
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;
  const isAmount = (value: unknown) => typeof value === "number" && value > 0;
  if (!isCount(fields.r)) fail("r", "it must be a whole number above 0");
  if (!isAmount(fields.lora_alpha)) fail("lora_alpha", "it must be a number above 0");
  const table = (key: string, isAllowed: (value: unknown) => boolean) => {
    const value = fields[key] ?? {};
    const isTable = typeof value === "object" && Object.values(value as object).every(isAllowed);
    return isTable ? value as Record<string, number> : fail(key, "it must be a table of numbers above 0");
  };
  return {
    rank: fields.r as number,
    alpha: fields.lora_alpha as number,
    isStable: fields.use_rslora === true,
    ranks: table("rank_pattern", isCount),
    alphas: table("alpha_pattern", isAmount),
    // What is adapted is in the file of tensors: patterns only say how it was found.
    targets: [fields.target_modules ?? []].flat().map(String),
    base: typeof fields.base_model_name_or_path === "string" ? fields.base_model_name_or_path : "",
  };
}

/**
 * `adapter_config.json` of adapters.
 *
 * @param isTransposed Weights of the model are [inputs, outputs].
 */
export function peftConfig(config: LoraConfig, isTransposed: boolean): Record<string, unknown> {
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: config.base,
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: 0,
    target_modules: config.targets,
    bias: "none",
    fan_in_fan_out: isTransposed,
    use_rslora: config.isStable ?? false,
    rank_pattern: config.ranks ?? {},
    alpha_pattern: config.alphas ?? {},
    init_lora_weights: true,
    modules_to_save: null,
    inference_mode: true,
  };
}

/** The adapter of the layer at a path, as PEFT sizes it. */
export function adapterSize(config: LoraConfig, path: string): AdapterSize {
  const rank = patternOf(config.ranks, path) ?? config.rank,
    alpha = patternOf(config.alphas, path) ?? config.alpha;
  return { rank, scale: alpha / (config.isStable ? Math.sqrt(rank) : rank) };
}

function patternOf(table: LoraConfig["ranks"] = {}, path: string): number | undefined {
  const key = Object.keys(table).find((pattern) => new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(path));
  return key === undefined ? undefined : table[key];
}
