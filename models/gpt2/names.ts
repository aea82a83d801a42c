/**
 * Names of a GPT-2's tensors in files.
 *
 * @module
 */
import type { TensorIndex } from "../../files/mod.ts";
import { stripPrefixes, tieHead } from "../tensor_names.ts";
import type { GptConfig } from "./model.ts";

/** Names that GPT-2 files may hold besides the parameters: causal masks, whatever their type. */
export function isGpt2Extra(name: string): boolean {
  return /(?:^|\.)attn\.(?:bias|masked_bias)$/.test(name);
}

/**
 * The tensors by the names of the parameters.
 *
 * @param path For messages.
 * @throws {UsageError} If two tensors have one name, or a tied head differs from the table.
 */
export function nameGpt2Tensors(
  tensors: TensorIndex,
  path: string,
  { tied = true }: Pick<GptConfig, "tied"> = {},
): TensorIndex {
  const named = stripPrefixes(tensors, path);
  return tied ? tieHead(named, path, { table: "wte.weight", head: "lm_head.weight" }) : named;
}

/** The tensors of a model with a shorter context: it has the first rows of the table of positions. */
export function shortenPositions(weights: TensorIndex, context: number): TensorIndex {
  const name = "wpe.weight", table = weights.get(name);
  if (table === undefined || table.shape[0] === context) return weights;
  return new Map([...weights, [name, { ...table, shape: [context, ...table.shape.slice(1)] }]]);
}
