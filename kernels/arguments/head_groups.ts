import type { AttentionArgs } from "./product_arguments.ts";

/**
 * Heads of q that read one head of k and v: consecutive ones.
 *
 * Source: Ainslie et al., GQA, EMNLP 2023, section 2.2.
 */
export function groupSize({ heads, kvHeads = heads }: Pick<AttentionArgs, "heads" | "kvHeads">): number {
  return kvHeads === 0 ? 1 : heads / kvHeads;
}
