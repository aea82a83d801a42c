import type { StoredTensor } from "./tensor_files.ts";
import { UsageError } from "./usage_error.ts";

/**
 * Checks that a file holds exactly the expected tensors.
 *
 * @param path For messages.
 * @throws {UsageError} Names the first tensor that is missing, has another shape, or is not expected.
 */
export function checkTensors(
  found: ReadonlyMap<string, StoredTensor>,
  expected: ReadonlyMap<string, readonly number[]>,
  path: string,
): void {
  for (const [name, shape] of expected) {
    const tensor = found.get(name);
    if (tensor === undefined) {
      throw new UsageError(
        `Cannot use ${path}: tensor ${name} is missing, expected with shape [${shape.join(", ")}]`,
      );
    }
    if (tensor.shape.join() !== shape.join()) {
      throw new UsageError(
        `Cannot use ${path}: tensor ${name} has shape [${tensor.shape.join(", ")}], ` +
          `expected is [${shape.join(", ")}]`,
      );
    }
  }
  for (const name of found.keys()) {
    if (!expected.has(name)) {
      throw new UsageError(`Cannot use ${path}: tensor ${name} is not part of this model`);
    }
  }
}
