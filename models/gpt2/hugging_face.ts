/**
 * What Hugging Face's GPT-2 directories say: the sizes in `config.json`, the names and shapes of tensors.
 *
 * @module
 */
import { UsageError } from "../../files/mod.ts";
import type { GptConfig } from "./model.ts";

/** The epsilon of GPT-2's layer norms unless a checkpoint says otherwise. */
export const LAYER_NORM_EPSILON = 1e-5;

const SIZE_KEYS = {
  layers: "n_layer",
  heads: "n_head",
  embed: "n_embd",
  context: "n_positions",
  vocab: "vocab_size",
} as const;

/** Names of the gelu with erf. */
const ERF_NAMES: readonly unknown[] = ["gelu", "gelu_python"];

/**
 * Fields that change the arithmetic, with the values that are computed here, the plain one first; absent means that one.
 *
 * `reorder_and_upcast_attn` is not among them: it asks for float32 where others have half of it, which is what there is.
 */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  model_type: ["gpt2"],
  // Three names of the form with tanh, then two of the one with erf.
  activation_function: ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", ...ERF_NAMES],
  tie_word_embeddings: [true, false, null],
  scale_attn_weights: [true],
  scale_attn_by_inverse_layer_idx: [false, null],
  add_cross_attention: [false, null],
  position_embedding_type: ["absolute", null],
  rope_scaling: [null],
  quantization_config: [null],
};

/** Fields with the rates of dropout, which is not applied. */
const DROPOUT = ["attn_pdrop", "embd_pdrop", "resid_pdrop"] as const;
/** Longest value that messages show. */
const MAX_SHOWN = 60;

/** `config.json` of a model. */
export function toHuggingFaceConfig(config: GptConfig): Record<string, unknown> {
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    activation_function: config.activation === "geluErf" ? "gelu" : "gelu_new",
    n_layer: config.layers,
    n_head: config.heads,
    n_embd: config.embed,
    n_positions: config.context,
    n_ctx: config.context,
    ...(config.inner !== undefined && { n_inner: config.inner }),
    vocab_size: config.vocab,
    layer_norm_epsilon: config.layerNormEpsilon ?? LAYER_NORM_EPSILON,
    tie_word_embeddings: config.tied ?? true,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    torch_dtype: "float32",
  };
}

/**
 * The sizes in a parsed `config.json`.
 *
 * Dropout rates are accepted and not applied: see {@link dropoutRates}.
 *
 * @param path For messages.
 * @throws {UsageError} If a size is missing, or a field asks for arithmetic that is not GPT-2's.
 */
export function fromHuggingFaceConfig(config: unknown, path: string): GptConfig {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new UsageError(`Cannot use ${path}: it is not a JSON object`);
  }
  const fields = config as Record<string, unknown>;
  checkFixed(fields, path);
  const sizes = {} as Record<keyof typeof SIZE_KEYS, number>;
  for (const [name, key] of Object.entries(SIZE_KEYS)) {
    const value = fields[key];
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1) {
      throw new UsageError(
        `Cannot use ${path}: ${key} is ${
          JSON.stringify(value) ?? "missing"
        }, it must be a whole number above 0`,
      );
    }
    sizes[name as keyof typeof SIZE_KEYS] = value;
  }
  const epsilon = fields.layer_norm_epsilon ?? LAYER_NORM_EPSILON;
  if (typeof epsilon !== "number" || !(epsilon > 0)) {
    throw new UsageError(
      `Cannot use ${path}: layer_norm_epsilon is ${JSON.stringify(epsilon)}, it must be above 0`,
    );
  }
  if (sizes.embed % sizes.heads !== 0) {
    throw new UsageError(
      `Cannot use ${path}: n_embd ${sizes.embed} is not a multiple of n_head ${sizes.heads}`,
    );
  }
  return {
    ...sizes,
    layerNormEpsilon: epsilon,
    ...innerOf(fields.n_inner, path),
    ...(ERF_NAMES.includes(fields.activation_function) && { activation: "geluErf" }),
    ...(fields.tie_word_embeddings === false && { tied: false }),
  };
}

/** The width inside of feed-forward layers, if it is not the usual one: absent or null. */
function innerOf(value: unknown, path: string): { readonly inner?: number } {
  if (value === undefined || value === null) return {};
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return { inner: value };
  throw new UsageError(
    `Cannot use ${path}: n_inner is ${JSON.stringify(value)}, it must be a whole number above 0, or null`,
  );
}

function checkFixed(fields: Readonly<Record<string, unknown>>, path: string): void {
  for (const [key, allowed] of Object.entries(FIXED)) {
    const value = fields[key];
    if (value === undefined || allowed.includes(value)) continue;
    const text = JSON.stringify(value),
      shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
    const names = allowed.filter((x) => x !== null).map((x) => JSON.stringify(x));
    const supported = names.length === 0
      ? "which is not supported; use a model without it"
      : names.length === 1
      ? `supported is ${names[0]}`
      : `supported are ${names.join(", ")}`;
    throw new UsageError(`Cannot use ${path}: ${key} is ${shown}, ${supported}`);
  }
}

/** The rates of dropout above 0 that a parsed `config.json` asks for, as text: `attn_pdrop 0.1`. */
export function dropoutRates(config: Readonly<Record<string, unknown>>): string[] {
  return DROPOUT.filter((key) => Number(config[key]) > 0).map((key) => `${key} ${config[key]}`);
}
