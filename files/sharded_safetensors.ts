/**
 * A model in several safetensors files: `model.safetensors.index.json` names the file of every tensor.
 *
 * @module
 */
import { readJson } from "./json.ts";
import { createSafetensors, layOutTensors, openSafetensors } from "./safetensors.ts";
import { storedLength, type StoredTensor, type TensorIndex } from "./tensor_files.ts";
import { UsageError } from "./usage_error.ts";

/** The file of a model's weights, and the index of several. */
export const MODEL_FILE = "model.safetensors", MODEL_INDEX = "model.safetensors.index.json";

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

/** The shape of a tensor, with its name. */
export type NamedShape = readonly [name: string, shape: readonly number[]];

/** One of the files of a model that is to be written. */
export interface ModelPart {
  /** Its name in the folder. */
  readonly name: string;
  /** The tensors it has, in their order. */
  readonly shapes: readonly NamedShape[];
}

/**
 * Divides f32 tensors among files of at most so many bytes of tensors, in order, as `transformers` does; one that is larger
 * has a file of its own. What fits one file is one file, `model.safetensors`, and has no index.
 *
 * @param maxBytes All in one file without it.
 */
export function divideModel(shapes: Iterable<NamedShape>, maxBytes = Infinity): ModelPart[] {
  const parts: NamedShape[][] = [];
  let bytes = Infinity;
  for (const named of shapes) {
    const size = 4 * storedLength({ shape: named[1] });
    if (bytes + size > maxBytes || parts.length === 0) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(named);
    bytes += size;
  }
  if (parts.length === 1) return [{ name: MODEL_FILE, shapes: parts[0] }];
  const digits = (n: number) => String(n).padStart(5, "0");
  return parts.map((shapes, i) => {
    return { name: `model-${digits(i + 1)}-of-${digits(parts.length)}.safetensors`, shapes };
  });
}

/** Makes the files of a model, with room for their tensors, and the index if there are several. */
export async function createModel(folder: string, parts: readonly ModelPart[]): Promise<void> {
  for (const { name, shapes } of parts) await createSafetensors(`${folder}/${name}`, shapes);
  if (parts.length === 1) return;
  const all = parts.flatMap(({ name, shapes }) => shapes.map(([tensor, shape]) => ({ name, tensor, shape })));
  const bytes = all.reduce((sum, { shape }) => sum + 4 * storedLength({ shape }), 0);
  const map = Object.fromEntries(all.map(({ name, tensor }) => [tensor, name]));
  const index = { metadata: { total_size: bytes }, weight_map: map };
  await Deno.writeTextFile(`${folder}/${MODEL_INDEX}`, JSON.stringify(index, null, 2) + "\n");
}

/** Where the tensors of a model lie in its files; any rank can tell. */
export function layOutModel(folder: string, parts: readonly ModelPart[]): TensorIndex {
  return new Map(parts.flatMap(({ name, shapes }) => [...layOutTensors(`${folder}/${name}`, shapes).index]));
}
