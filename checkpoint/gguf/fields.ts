/**
 * Fields of `config.json` and keys of GGUF that say the same.
 *
 * Source: llama.cpp, `gguf-py/gguf/constants.py` and `convert_hf_to_gguf.py`.
 *
 * @module
 */
import { type GgufMetadata, type GgufValue, type TypedValue, UsageError } from "../../files/mod.ts";

/** `config.json`, parsed. */
export type ConfigJson = Readonly<Record<string, unknown>>;

/** Architectures of GGUF by the `model_type` that they are written from. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  ...{ llama: "llama", mistral: "llama", mixtral: "llama" },
  ...{ qwen2: "qwen2", qwen3: "qwen3", qwen3_moe: "qwen3moe" },
};

/** Keys behind the name of the architecture, the fields that they are, and their types. */
const FIELDS: readonly (readonly [key: string, field: string, type: "u32" | "f32"])[] = [
  ["block_count", "num_hidden_layers", "u32"],
  ["context_length", "max_position_embeddings", "u32"],
  ["embedding_length", "hidden_size", "u32"],
  ["feed_forward_length", "intermediate_size", "u32"],
  ["attention.head_count", "num_attention_heads", "u32"],
  ["attention.head_count_kv", "num_key_value_heads", "u32"],
  ["attention.key_length", "head_dim", "u32"],
  ["attention.value_length", "head_dim", "u32"],
  ["rope.dimension_count", "head_dim", "u32"],
  ["rope.freq_base", "rope_theta", "f32"],
  ["attention.layer_norm_rms_epsilon", "rms_norm_eps", "f32"],
  ["vocab_size", "vocab_size", "u32"],
  ["expert_used_count", "num_experts_per_tok", "u32"],
  ["expert_feed_forward_length", "moe_intermediate_size", "u32"],
];

/**
 * The architecture that a model is written as.
 *
 * @throws {UsageError} If llama.cpp has none that computes the same.
 */
export function architectureOf(json: ConfigJson, model: string): string {
  const type = String(json.model_type), architecture = ARCHITECTURES[type];
  const refuse = (why: string): never => {
    throw new UsageError(`Cannot write ${model} as GGUF: ${why}`);
  };
  if (architecture === undefined) {
    refuse(`its model_type is ${type}, supported are ${Object.keys(ARCHITECTURES).join(", ")}`);
  }
  const { sliding_window: window, max_position_embeddings: context } = json;
  const isWindowed = typeof window === "number" && window < Number(context) &&
    json.use_sliding_window !== false;
  if (isWindowed) {
    refuse(`it has a window of ${window} tokens, which llama.cpp does not compute for ${architecture}`);
  }
  if ((json.mlp_only_layers as readonly unknown[] | undefined)?.length) {
    refuse("some of its layers have no experts, which llama.cpp does not compute");
  }
  if (json.norm_topk_prob === false) {
    refuse("weights of its experts are no shares, which llama.cpp makes of them");
  }
  if (json.mlp_bias) refuse("its feed-forward layers have biases, which llama.cpp does not read");
  return architecture;
}

/** Metadata of a model's sizes. */
export function metadataOf(json: ConfigJson, architecture: string): Map<string, TypedValue> {
  const metadata = new Map<string, TypedValue>([["general.architecture", {
    type: "string",
    value: architecture,
  }]]);
  for (const [key, field, type] of FIELDS) {
    const value = json[field];
    if (typeof value === "number") metadata.set(`${architecture}.${key}`, { type, value });
  }
  const experts = json.num_local_experts ?? json.num_experts;
  if (typeof experts === "number") {
    metadata.set(`${architecture}.expert_count`, { type: "u32", value: experts });
  }
  const scaling = json.rope_scaling as Readonly<Record<string, unknown>> | null | undefined;
  // That of Llama 3 is a tensor, which does not say what it was made from.
  if (scaling?.rope_type === "llama3") {
    metadata.set(ROPE_KEY, { type: "string", value: JSON.stringify(scaling) });
  } else if (scaling) {
    const put = (key: string, type: "u32" | "f32", value: unknown) => {
      if (typeof value === "number") metadata.set(`${architecture}.rope.scaling.${key}`, { type, value });
    };
    metadata.set(`${architecture}.rope.scaling.type`, { type: "string", value: String(scaling.rope_type) });
    put("factor", "f32", scaling.factor);
    put("original_context_length", "u32", scaling.original_max_position_embeddings);
  }
  return metadata;
}

/** Our own key: what the tensor of a Llama 3 was made from. */
export const ROPE_KEY = "tessera.rope_scaling";

/** `model_type` of an architecture. */
const MODEL_TYPES: Readonly<Record<string, string>> = {
  ...{ llama: "llama", qwen2: "qwen2", qwen3: "qwen3", qwen3moe: "qwen3_moe" },
};

/** What else the tensors of a file say. */
export interface TensorFacts {
  /** Names of all. */
  readonly names: ReadonlySet<string>;
  /** Rows of the token table. */
  readonly vocab: number;
  /** Parameters of Llama 3's scaling, if there is a tensor of it. */
  readonly ropeScaling?: Readonly<Record<string, unknown>>;
}

/**
 * The `config.json` that metadata and tensors describe.
 *
 * @throws {UsageError} If the architecture is not computed here, or a size is missing.
 */
export function configOf(metadata: GgufMetadata, facts: TensorFacts, path: string): ConfigJson {
  const architecture = String(metadata.get("general.architecture")), type = MODEL_TYPES[architecture];
  if (type === undefined) {
    throw new UsageError(
      `Cannot use ${path}: its architecture is ${architecture}, supported are ${
        Object.keys(MODEL_TYPES).join(", ")
      }`,
    );
  }
  const get = (key: string): GgufValue | undefined => metadata.get(`${architecture}.${key}`);
  const experts = get("expert_count"), isMixtral = type === "llama" && Number(experts ?? 0) > 0;
  const json: Record<string, unknown> = {
    model_type: isMixtral ? "mixtral" : type,
    vocab_size: facts.vocab,
    tie_word_embeddings: !facts.names.has("output.weight"),
    rope_theta: 10000,
    ...(facts.names.has("blk.0.attn_q.bias") && { attention_bias: true }),
    ...(Number(experts ?? 0) > 0 && { [isMixtral ? "num_local_experts" : "num_experts"]: experts }),
    ...(type === "qwen3_moe" && { norm_topk_prob: true }),
    ...(type.startsWith("qwen") && { use_sliding_window: false }),
  };
  for (const [key, field] of FIELDS) {
    const value = get(key);
    if (typeof value === "number" && key !== "vocab_size" && key !== "rope.dimension_count") {
      json[field] = value;
    }
  }
  const ropeDims = get("rope.dimension_count"),
    headDim = json.head_dim ??
      Number(json.hidden_size) / Number(json.num_attention_heads);
  if (ropeDims !== undefined && ropeDims !== headDim) {
    throw new UsageError(
      `Cannot use ${path}: it turns ${ropeDims} of the ${headDim} elements of a head by their positions, supported is all`,
    );
  }
  const scaling = scalingOf(get, path) ?? facts.ropeScaling;
  return scaling === undefined ? json : { ...json, rope_scaling: scaling };
}

function scalingOf(get: (key: string) => GgufValue | undefined, path: string) {
  const type = get("rope.scaling.type") ?? (get("rope.scale_linear") === undefined ? "none" : "linear");
  if (type === "none") return undefined;
  const factor = get("rope.scaling.factor") ?? get("rope.scale_linear");
  if (type === "linear") return { rope_type: type, factor };
  if (type === "yarn") {
    const original = get("rope.scaling.original_context_length");
    return {
      rope_type: type,
      factor,
      ...(original !== undefined && { original_max_position_embeddings: original }),
    };
  }
  throw new UsageError(
    `Cannot use ${path}: its rope.scaling.type is ${type}, supported are none, linear, yarn`,
  );
}

/** Factors that Llama 3 divides frequencies by, as its tensor `rope_freqs.weight` has them. */
export function llama3Factors(json: ConfigJson): Float32Array | undefined {
  const scaling = json.rope_scaling as Readonly<Record<string, number | string>> | null | undefined;
  if (scaling?.rope_type !== "llama3") return undefined;
  const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } = scaling;
  const headDim = Number(json.head_dim), theta = Number(json.rope_theta), factor = Number(scaling.factor);
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wave = 2 * Math.PI * theta ** (2 * i / headDim);
    if (wave < Number(context) / Number(high)) return 1;
    if (wave > Number(context) / Number(low)) return factor;
    const share = (Number(context) / wave - Number(low)) / (Number(high) - Number(low));
    return 1 / ((1 - share) / factor + share);
  });
}

/** Contexts that Llama 3 was trained with before its frequencies were changed. */
const CONTEXTS = [8192, 4096, 2048];

/**
 * The parameters whose factors these are: those of Meta's models, which differ in the factor.
 *
 * @throws {UsageError} If they are of another kind.
 */
export function llama3Scaling(factors: Float32Array, json: ConfigJson, path: string): ConfigJson {
  const factor = factors.reduce((most, value) => Math.max(most, value), 1);
  for (const original_max_position_embeddings of CONTEXTS) {
    const scaling = { factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings };
    const rope_scaling = { rope_type: "llama3", ...scaling };
    const own = llama3Factors({ ...json, rope_scaling })!;
    if (
      own.length === factors.length && own.every((value, i) => Math.abs(value - factors[i]) < 1e-4 * value)
    ) {
      return rope_scaling;
    }
  }
  throw new UsageError(`Cannot use ${path}: its rope_freqs.weight is not that of a Llama 3`);
}
