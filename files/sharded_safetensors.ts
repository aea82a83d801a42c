/**
 * A model in several safetensors files: `model.safetensors.index.json` names the file of every tensor.
 *
 * @module
 */
import { readJson } from "./json.ts";
import { openSafetensors } from "./safetensors.ts";
import type { StoredTensor } from "./tensor_files.ts";
import { UsageError } from "./usage_error.ts";

/**
 * Reads which tensors the parts of a model have, and where.
 *
 * @param path The index; its parts lie beside it.
 * @param skip Names to leave out, before their type is looked at.
 * @throws {UsageError} If a part is missing or damaged, two parts have one tensor, or one lacks what the index says.
 */
export async function openShardedSafetensors(
  path: string,
  skip: (name: string) => boolean = () => false,
): Promise<Map<string, StoredTensor>> {
  const parts = await readWeightMap(path), folder = path.slice(0, path.lastIndexOf("/") + 1);
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot read ${path}: ${problem}`);
  };
  const tensors = new Map<string, StoredTensor>(), partOf = new Map<string, string>();
  for (const part of new Set(parts.values())) {
    for (const [name, tensor] of await openSafetensors(`${folder}${part}`, skip)) {
      if (tensors.has(name)) fail(`tensor ${name} is in two parts, ${partOf.get(name)} and ${part}`);
      tensors.set(name, tensor);
      partOf.set(name, part);
    }
  }
  for (const [name, part] of parts) {
    if (skip(name) || partOf.get(name) === part) continue;
    const actual = partOf.has(name) ? `, it is in ${partOf.get(name)}` : "; fetch the model again";
    fail(`it says that tensor ${name} is in ${part}, which does not have it${actual}`);
  }
  return tensors;
}

/** File of every tensor, by name. */
async function readWeightMap(path: string): Promise<Map<string, string>> {
  const index = await readJson(path) as { weight_map?: unknown } | null, map = index?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map) || Object.keys(map).length === 0) {
    throw new UsageError(`Cannot read ${path}: it has no weight_map, which names the file of every tensor`);
  }
  for (const [name, part] of Object.entries(map)) {
    // A name that leads out of the folder would read files that are no part of the model.
    if (typeof part === "string" && /^[^/\\]+\.safetensors$/.test(part)) continue;
    throw new UsageError(
      `Cannot read ${path}: tensor ${name} is in ${JSON.stringify(part)}; ` +
        `parts must be .safetensors files in the same folder`,
    );
  }
  return new Map(Object.entries(map));
}
