import type { ParallelPlan } from "../../strategies/mod.ts";
import type { GptConfig } from "./model.ts";

/**
 * The plan of a GPT: whole heads in attention, columns then rows in the feed-forward layer or in each expert, a spread
 * vocabulary.
 */
export function gptPlan(
  { embed, heads, experts = 0, tied = true }: Pick<GptConfig, "embed" | "heads" | "experts" | "tied">,
): ParallelPlan {
  const unit = embed / heads, feedForward = experts > 0 ? "h.*.mlp.experts.*" : "h.*.mlp";
  return {
    "wte": { kind: "vocab" },
    "wpe": { kind: "local" },
    "h.*.attn.c_attn": { kind: "column", parts: 3, unit },
    "h.*.attn.c_proj": { kind: "row", unit },
    ...(experts > 0 && { "h.*.mlp": { kind: "mixture" } as const }),
    [`${feedForward}.c_fc`]: { kind: "column" },
    [`${feedForward}.c_proj`]: { kind: "row" },
    "lm_head": { kind: "head", table: tied ? "wte" : "lm_head" },
  };
}
