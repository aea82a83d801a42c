/**
 * Names of a decoder's tensors in files, with and without `model.`, and with a tied head under either name.
 *
 * @module
 */
import type { TensorIndex } from "../../files/mod.ts";
import { stripPrefixes, tieHead } from "../tensor_names.ts";
import type { DecoderConfig } from "./config.ts";
import { HEAD, TABLE } from "./model.ts";

/** Names that files may hold besides the parameters: frequencies of positions, which follow from the configuration. */
export function isDecoderExtra(name: string): boolean {
  return /(?:^|\.)rotary_emb\.(?:inv_freq|cos_cached|sin_cached)$/.test(name);
}

/**
 * The tensors by the names of the parameters.
 *
 * @param path For messages.
 * @throws {UsageError} If two tensors have one name, or a tied head differs from the table.
 */
export function nameDecoderTensors(
  tensors: TensorIndex,
  path: string,
  { tied }: Pick<DecoderConfig, "tied">,
): TensorIndex {
  const named = stripPrefixes(tensors, path, (plain) => plain === HEAD ? plain : `model.${plain}`);
  return tied ? tieHead(named, path, { table: TABLE, head: HEAD }) : named;
}
