/**
 * Experts of decoders: their names, and their fields in `config.json`.
 *
 * Sources: Jiang et al., Mixtral of Experts, 2024, section 2.1; Yang et al., Qwen3 Technical Report, 2025, section 2.
 */
import { checkMixture, type ExpertForm, gatedExperts, type MixtureConfig, normal } from "../../nn/mod.ts";
import type { ParallelPlan } from "../../strategies/mod.ts";
import type { ConfigFields } from "./fields.ts";

/** The experts of a decoder. */
export interface DecoderMixture extends MixtureConfig {
  /** Whose names parameters have. */
  readonly naming: keyof typeof NAMES;
  /** Width inside of an expert. */
  readonly inner: number;
  /** Layers that have one feed-forward layer for all. */
  readonly denseLayers?: readonly number[];
}

/** Names of the layer of experts and of the layers of an expert: gate, up and down. */
const NAMES = {
  mixtral: { layer: "block_sparse_moe", expert: ["w1", "w3", "w2"] },
  qwen: { layer: "mlp", expert: ["gate_proj", "up_proj", "down_proj"] },
} as const;

/** Name of the layer of experts. */
export function mixtureLayer({ naming }: DecoderMixture): string {
  return NAMES[naming].layer;
}

/** How experts are named and built. */
export function expertForm({ naming, inner }: DecoderMixture, deviation: number): ExpertForm {
  return gatedExperts({ router: "gate", names: NAMES[naming].expert, inner, initialize: normal(deviation) });
}

/** The part of a plan that splits the experts of `layers` layers. */
export function mixturePlan(mixture: DecoderMixture, layers: number): ParallelPlan {
  const { naming, denseLayers = [] } = mixture, [gate, up, down] = NAMES[naming].expert;
  // Layer by layer where some have none, as a layer inside of a mixture is split otherwise.
  const sparse = Array.from({ length: layers }, (_, i) => i).filter((i) => !denseLayers.includes(i));
  const entries = (denseLayers.length === 0 ? ["*"] : sparse).flatMap((i) => {
    const layer = `model.layers.${i}.${mixtureLayer(mixture)}`,
      column = { kind: "column", outputsFirst: true };
    return [
      [layer, { kind: "mixture" }],
      ...[gate, up].map((name) => [`${layer}.experts.*.${name}`, column]),
      [`${layer}.experts.*.${down}`, { kind: "row", outputsFirst: true }],
    ];
  });
  return Object.fromEntries(entries);
}

/** What a family says of its experts beside the fields that all have. */
export interface MixtureFields
  extends Pick<DecoderMixture, "naming" | "inner" | "denseLayers" | "sharesWeights"> {
  /** Field of the number of experts, and what it is when absent. */
  readonly experts: readonly [key: string, preset: number];
  /** Experts of a token when absent. */
  readonly choices: number;
}

/**
 * The experts that a `config.json` describes: all have room for all tokens, unless `expert_capacity_factor` says otherwise,
 * and the load loss counts if `output_router_logits` asks for it.
 *
 * @throws {UsageError} If a field makes no sense.
 */
export function readMixture(fields: ConfigFields, family: MixtureFields): DecoderMixture {
  const { experts: [key, preset], choices, ...rest } = family, experts = fields.count(key, preset);
  const topKExperts = fields.count("num_experts_per_tok", choices);
  const coefficient = fields.amount("router_aux_loss_coef", 0.001);
  const mixture = {
    ...{ ...rest, experts, topKExperts },
    capacityFactor: fields.positive("expert_capacity_factor", experts / topKExperts),
    auxLossCoefficient: fields.flag("output_router_logits", false) ? coefficient : 0,
  };
  fields.checked(() => checkMixture(mixture));
  return mixture;
}

/** The fields of experts that all families have. */
export function writeMixture(mixture: DecoderMixture): Record<string, unknown> {
  const { experts, topKExperts = 1, capacityFactor, auxLossCoefficient = 0 } = mixture;
  const isDropless = capacityFactor === undefined || capacityFactor >= experts / topKExperts;
  return {
    num_experts_per_tok: topKExperts,
    output_router_logits: auxLossCoefficient > 0,
    ...(auxLossCoefficient > 0 && { router_aux_loss_coef: auxLossCoefficient }),
    ...(!isDropless && { expert_capacity_factor: capacityFactor }),
  };
}
