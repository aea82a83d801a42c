/**
 * Names of a GPT-2's tensors as tools write them: with wrappers' prefixes, and with the tied head under either name.
 *
 * @module
 */
import { findDifference, type StoredTensor, type TensorIndex, UsageError } from "../../files/mod.ts";

const TABLE = "wte.weight", HEAD = "lm_head.weight";

/** What stands in front of names: GPT2LMHeadModel, DistributedDataParallel, torch.compile, and modules of trainers. */
const PREFIX = /^(?:(?:transformer|module|_orig_mod|model)\.)+/;

/** Names that GPT-2 files may hold besides the parameters: causal masks, whatever their type. */
export function isGpt2Extra(name: string): boolean {
  return /(?:^|\.)attn\.(?:bias|masked_bias)$/.test(name);
}

/**
 * The tensors without the prefixes that wrappers put in front of names.
 *
 * @param path For messages.
 * @throws {UsageError} If two tensors have one name without them.
 */
export function stripPrefixes(tensors: TensorIndex, path: string): Map<string, StoredTensor> {
  const stripped = new Map<string, StoredTensor>(), originals = new Map<string, string>();
  for (const [name, tensor] of tensors) {
    const plain = name.replace(PREFIX, ""), other = originals.get(plain);
    if (other !== undefined) {
      throw new UsageError(
        `Cannot use ${path}: tensors ${other} and ${name} are both ${plain} of the model; keep one of them`,
      );
    }
    originals.set(plain, name);
    stripped.set(plain, tensor);
  }
  return stripped;
}

/**
 * The tensors with the table of tokens as `wte.weight` only: it is also the output head.
 *
 * Files of `safetensors.torch.save_model` have one of two tied tensors, under the other's name.
 *
 * @param path For messages.
 * @throws {UsageError} If the head is another one than the table: it would be dropped.
 */
export function tieHead(tensors: TensorIndex, path: string): Map<string, StoredTensor> {
  const tied = new Map(tensors), head = tied.get(HEAD), table = tied.get(TABLE) ?? head;
  if (head === undefined || table === undefined) return tied;
  tied.delete(HEAD);
  tied.set(TABLE, table);
  if (table === head) return tied;
  const isSameShape = table.shape.join() === head.shape.join();
  const place = isSameShape ? findDifference(table, head) : 0;
  if (place < 0) return tied;
  const where = isSameShape ? `from element ${place} on` : `in its shape [${head.shape.join(", ")}]`;
  throw new UsageError(
    `Cannot use ${path}: ${HEAD} differs from ${TABLE} ${where}, and a head of its own is not supported; ` +
      `use a model whose head is tied to its tokens`,
  );
}

/** The tensors of a model with a shorter context: it has the first rows of the table of positions. */
export function shortenPositions(weights: TensorIndex, context: number): TensorIndex {
  const name = "wpe.weight", table = weights.get(name);
  if (table === undefined || table.shape[0] === context) return weights;
  return new Map([...weights, [name, { ...table, shape: [context, ...table.shape.slice(1)] }]]);
}
