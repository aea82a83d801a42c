/**
 * Names of tensors as tools write them: with wrappers' prefixes, and with a tied head under either name.
 *
 * @module
 */
import { findDifference, type StoredTensor, type TensorIndex, UsageError } from "../files/mod.ts";

/** What stands in front of names: classes with a head, DistributedDataParallel, torch.compile, and modules of trainers. */
const PREFIX = /^(?:(?:transformer|module|_orig_mod|model)\.)+/;

/**
 * The tensors by the names of parameters.
 *
 * @param path For messages.
 * @param nameOf The parameter's name, from one without the prefixes that wrappers put in front; by default that one.
 * @throws {UsageError} If two tensors have one name without them.
 */
export function stripPrefixes(
  tensors: TensorIndex,
  path: string,
  nameOf: (plain: string) => string = (plain) => plain,
): Map<string, StoredTensor> {
  const stripped = new Map<string, StoredTensor>(), originals = new Map<string, string>();
  for (const [name, tensor] of tensors) {
    const plain = nameOf(name.replace(PREFIX, "")), other = originals.get(plain);
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

/** Names of a table of tokens and of the head that it may also be. */
export interface TiedNames {
  /** The parameter. */
  readonly table: string;
  /** What files may call it, too. */
  readonly head: string;
}

/**
 * The tensors with the table of tokens under its own name only: it is also the output head.
 *
 * Files of `safetensors.torch.save_model` have one of two tied tensors, under the other's name.
 *
 * @param path For messages.
 * @throws {UsageError} If the head is another one than the table: it would be dropped.
 */
export function tieHead(tensors: TensorIndex, path: string, names: TiedNames): Map<string, StoredTensor> {
  const tied = new Map(tensors), head = tied.get(names.head), table = tied.get(names.table) ?? head;
  if (head === undefined || table === undefined) return tied;
  tied.delete(names.head);
  tied.set(names.table, table);
  if (table === head) return tied;
  const isSameShape = table.shape.join() === head.shape.join();
  const place = isSameShape ? findDifference(table, head) : 0;
  if (place < 0) return tied;
  const where = isSameShape ? `from element ${place} on` : `in its shape [${head.shape.join(", ")}]`;
  throw new UsageError(
    `Cannot use ${path}: ${names.head} differs from ${names.table} ${where}, and config.json says that they are one; ` +
      `write "tie_word_embeddings": false there if the head is one of its own`,
  );
}
