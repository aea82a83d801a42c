/**
 * Rotary positions in `config.json`, in both spellings: `rope_parameters`, and `rope_theta` with `rope_scaling`.
 *
 * Source: Hugging Face, transformers, `modeling_rope_utils.py`.
 */
import type { ConfigFields } from "./fields.ts";
import { attentionFactor, type RopeConfig, type RopeScaling } from "./rope.ts";

/**
 * The positions that a `config.json` describes.
 *
 * @param preset Base of the frequencies where none is named.
 * @throws {UsageError} If they are stretched in a way that is not computed here.
 */
export function readRope(fields: ConfigFields, context: number, preset: number): RopeConfig {
  const parameters = fields.section("rope_parameters"),
    scaling = parameters ?? fields.section("rope_scaling");
  const theta = parameters?.raw("rope_theta") === undefined
    ? fields.positive("rope_theta", preset)
    : parameters.positive("rope_theta");
  if (scaling === undefined) return { theta };
  scaling.check({ partial_rotary_factor: [1] });
  const type = scaling.raw("rope_type") ?? scaling.raw("type") ?? "default";
  return type === "default" ? { theta } : { theta, scaling: readScaling(scaling, type, context) };
}

function readScaling(fields: ConfigFields, type: unknown, context: number): RopeScaling {
  const factor = () => fields.positive("factor");
  const originalContext = () => fields.count("original_max_position_embeddings", context);
  switch (type) {
    case "linear":
      return { type, factor: factor() };
    case "llama3":
      return {
        type,
        factor: factor(),
        lowFrequencyFactor: fields.positive("low_freq_factor"),
        highFrequencyFactor: fields.positive("high_freq_factor"),
        originalContext: originalContext(),
      };
    case "yarn":
      return {
        type,
        factor: factor(),
        originalContext: originalContext(),
        betaFast: fields.positive("beta_fast", 32),
        betaSlow: fields.positive("beta_slow", 1),
        attentionFactor: readAttentionFactor(fields, factor()),
        truncate: fields.flag("truncate", true),
      };
    default:
      return fields.fail(
        `rope_type is ${JSON.stringify(type)}, supported are "default", "linear", "llama3", "yarn"`,
      );
  }
}

function readAttentionFactor(fields: ConfigFields, factor: number): number | undefined {
  if (fields.raw("attention_factor") !== undefined) return fields.positive("attention_factor");
  const [scale, allScale] = [fields.amount("mscale", 0), fields.amount("mscale_all_dim", 0)];
  return scale && allScale ? attentionFactor(factor, scale) / attentionFactor(factor, allScale) : undefined;
}

/** The fields of positions, in the spelling that all versions read. */
export function writeRope({ theta, scaling }: RopeConfig): Record<string, unknown> {
  return { rope_theta: theta, rope_scaling: scaling === undefined ? null : writeScaling(scaling) };
}

function writeScaling(scaling: RopeScaling): Record<string, unknown> {
  const { type, factor } = scaling, shared = { rope_type: type, factor };
  switch (type) {
    case "linear":
      return shared;
    case "llama3":
      return {
        ...shared,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalContext,
      };
    case "yarn":
      return {
        ...shared,
        original_max_position_embeddings: scaling.originalContext,
        beta_fast: scaling.betaFast,
        beta_slow: scaling.betaSlow,
        ...(scaling.attentionFactor !== undefined && { attention_factor: scaling.attentionFactor }),
        truncate: scaling.truncate,
      };
  }
}
