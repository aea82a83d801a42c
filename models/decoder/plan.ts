import type { ParallelPlan } from "../../strategies/mod.ts";
import type { DecoderConfig } from "./config.ts";
import { mixturePlan } from "./mixture.ts";

/**
 * The plan of a decoder: heads of queries go with the heads of keys that they read, feed-forward layers are split into
 * columns and then rows, and the vocabulary is spread.
 */
export function decoderPlan(
  { heads, kvHeads, headDim: unit, headNorms, tied, mixture, layers }: DecoderConfig,
): ParallelPlan {
  const attention = "model.layers.*.self_attn", mlp = "model.layers.*.mlp";
  const hasDense = mixture === undefined || (mixture.denseLayers?.length ?? 0) > 0;
  const ofQueries = { unit, groups: kvHeads, outputsFirst: true },
    ofKeys = { unit, readers: heads, outputsFirst: true };
  return {
    "model.embed_tokens": { kind: "vocab" },
    [`${attention}.q_proj`]: { kind: "column", ...ofQueries },
    [`${attention}.k_proj`]: { kind: "column", ...ofKeys },
    [`${attention}.v_proj`]: { kind: "column", ...ofKeys },
    [`${attention}.o_proj`]: { kind: "row", ...ofQueries },
    ...(headNorms && {
      [`${attention}.q_norm`]: { kind: "heads", heads, groups: kvHeads } as const,
      [`${attention}.k_norm`]: { kind: "heads", heads: kvHeads, readers: heads } as const,
    }),
    ...(mixture && mixturePlan(mixture, layers)),
    ...(hasDense && {
      [`${mlp}.gate_proj`]: { kind: "column", outputsFirst: true } as const,
      [`${mlp}.up_proj`]: { kind: "column", outputsFirst: true } as const,
      [`${mlp}.down_proj`]: { kind: "row", outputsFirst: true } as const,
    }),
    "lm_head": { kind: "head", table: tied ? "model.embed_tokens" : "lm_head" },
  };
}
