/**
 * `config.json` of decoders: what their families have in common.
 *
 * @module
 */
import { checkDecoder, type DecoderConfig } from "./config.ts";
import { ConfigFields, type FixedFields } from "./fields.ts";
import { readRope, writeRope } from "./rope_fields.ts";

/** Where `config.json` of a family differs from Llama's. */
export interface DecoderFields {
  /** `model_type`. */
  readonly modelType: string;
  /** Name of the class in `architectures`. */
  readonly architecture: string;
  /** What fields are where they are absent. */
  readonly presets?: {
    readonly kvHeads?: number;
    readonly headDim?: number;
    readonly normEpsilon?: number;
    readonly theta?: number;
  };
  /** Fields that change the arithmetic in ways that are not computed, beside those of all families. */
  readonly fixed?: FixedFields;
  /** The rest of the configuration. */
  read?(fields: ConfigFields, sizes: DecoderConfig): Partial<DecoderConfig>;
  /** The rest of the fields. */
  write?(config: DecoderConfig): Record<string, unknown>;
}

/** Fields that change the arithmetic, with the values that are computed here; absent means the first. */
const FIXED: FixedFields = {
  hidden_act: ["silu", "swish"],
  quantization_config: [],
  partial_rotary_factor: [1],
  rope_interleaved: [false],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  embedding_multiplier: [1],
  residual_multiplier: [1],
  attention_multiplier: [],
  logits_scaling: [1],
  is_decoder: [true, false],
  add_cross_attention: [false],
};

/** `initializer_range` of all families. */
const DEVIATION = 0.02;

/**
 * The configuration that a parsed `config.json` describes.
 *
 * @param path For messages.
 * @throws {UsageError} If a size is missing or makes no sense, or a field asks for arithmetic that is not computed.
 */
export function readDecoderConfig(json: unknown, path: string, family: DecoderFields): DecoderConfig {
  const fields = new ConfigFields(json, path), { presets = {} } = family;
  fields.check({ ...FIXED, model_type: [family.modelType], ...family.fixed });
  const heads = fields.count("num_attention_heads"), embed = fields.count("hidden_size");
  const context = fields.count("max_position_embeddings", 2048);
  const sizes: DecoderConfig = {
    layers: fields.count("num_hidden_layers"),
    heads,
    kvHeads: fields.count("num_key_value_heads", presets.kvHeads ?? heads),
    headDim: readHeadDim(fields, { heads, embed, preset: presets.headDim }),
    embed,
    inner: fields.count("intermediate_size"),
    context,
    vocab: fields.count("vocab_size"),
    normEpsilon: fields.positive("rms_norm_eps", presets.normEpsilon ?? 1e-6),
    rope: readRope(fields, context, presets.theta ?? 10000),
    tied: fields.flag("tie_word_embeddings", false),
    deviation: fields.amount("initializer_range", DEVIATION),
  };
  const config = { ...sizes, ...family.read?.(fields, sizes) };
  fields.checked(() => checkDecoder(config));
  return config;
}

function readHeadDim(
  fields: ConfigFields,
  { heads, embed, preset }: { heads: number; embed: number; preset: number | undefined },
): number {
  const even = preset ?? (embed % heads === 0 ? embed / heads : undefined);
  if (even === undefined && fields.raw("head_dim") === undefined) {
    fields.fail(
      `hidden_size ${embed} is not a multiple of num_attention_heads ${heads}, and it names no head_dim`,
    );
  }
  return fields.count("head_dim", even);
}

/** `config.json` of a model. */
export function writeDecoderConfig(config: DecoderConfig, family: DecoderFields): Record<string, unknown> {
  return {
    model_type: family.modelType,
    architectures: [family.architecture],
    hidden_act: "silu",
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_size: config.embed,
    intermediate_size: config.inner,
    max_position_embeddings: config.context,
    vocab_size: config.vocab,
    rms_norm_eps: config.normEpsilon,
    ...writeRope(config.rope),
    tie_word_embeddings: config.tied,
    initializer_range: config.deviation,
    attention_dropout: 0,
    torch_dtype: "float32",
    ...family.write?.(config),
  };
}
