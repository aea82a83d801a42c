import { assertEquals, assertRejects } from "@std/assert";
import { writeSafetensors } from "../../files/safetensors.ts";
import {
  createModel,
  divideModel,
  layOutModel,
  openShardedSafetensors,
} from "../../files/sharded_safetensors.ts";
import { readTensor } from "../../files/tensor_files.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const PARTS: Record<string, string[]> = { "a-1.safetensors": ["v", "w"], "a-2.safetensors": ["x"] };
const MAP = { v: "a-1.safetensors", w: "a-1.safetensors", x: "a-2.safetensors" };

/** Writes parts and index; every tensor holds the code of its name. */
async function write(folder: string, map: unknown, parts = PARTS): Promise<string> {
  for (const [part, names] of Object.entries(parts)) {
    const tensors = names.map((name) => ({ name, shape: [1], data: Float32Array.of(name.charCodeAt(0)) }));
    await writeSafetensors(`${folder}/${part}`, tensors);
  }
  const path = `${folder}/model.safetensors.index.json`;
  await Deno.writeTextFile(
    path,
    "\ufeff" + JSON.stringify({ metadata: { total_size: 12 }, weight_map: map }),
  );
  return path;
}

Deno.test("openShardedSafetensors() finds every tensor in its part", () =>
  withTempDir(async (folder) => {
    const tensors = await openShardedSafetensors(await write(folder, MAP));
    assertEquals([...tensors.keys()], ["v", "w", "x"]);
    for (const [name, tensor] of tensors) assertEquals(readTensor(tensor)[0], name.charCodeAt(0));
    const some = await openShardedSafetensors(await write(folder, MAP), (name) => name === "w");
    assertEquals([...some.keys()], ["v", "x"]);
  }));

Deno.test("openShardedSafetensors() refuses an index and parts that do not go together", () =>
  withTempDir(async (folder) => {
    const cases: [unknown, typeof PARTS, string][] = [
      [{ ...MAP, y: "a-3.safetensors" }, PARTS, "a-3.safetensors: it does not exist"],
      [MAP, { ...PARTS, "a-2.safetensors": ["x", "w"] }, "w is in two parts, a-1.safetensors and a-2"],
      [{ ...MAP, y: "a-2.safetensors" }, PARTS, "y is in a-2.safetensors, which does not have it; fetch"],
      [{ ...MAP, w: "a-2.safetensors" }, PARTS, "does not have it, it is in a-1.safetensors"],
      [{ ...MAP, w: "../a-1.safetensors" }, PARTS, 'w is in "../a-1.safetensors"; parts must be'],
      [{ ...MAP, w: "/etc/a.safetensors" }, PARTS, "in the same folder"],
      [{ ...MAP, w: "..\\a.safetensors" }, PARTS, "in the same folder"],
      [{ ...MAP, w: "a.bin" }, PARTS, "parts must be .safetensors files"],
      [{ ...MAP, w: 3 }, PARTS, "w is in 3"],
      [undefined, PARTS, "it has no weight_map"],
      [{}, PARTS, "it has no weight_map"],
    ];
    for (const [map, parts, message] of cases) {
      const path = await write(folder, map, parts);
      await assertRejects(() => openShardedSafetensors(path), UsageError, message);
    }
  }));

Deno.test("divideModel() fills files in order up to a size, as transformers does; what fits one has no index", () => {
  const shapes: [string, number[]][] = [["a", [2]], ["b", [3]], ["c", [100]], ["d", [1]], ["e", [1]]];
  const files = (maxBytes?: number) =>
    divideModel(shapes, maxBytes).map(({ name, shapes }) => [name, shapes.map(([name]) => name).join("")]);
  assertEquals(files(20), [
    ["model-00001-of-00003.safetensors", "ab"],
    ["model-00002-of-00003.safetensors", "c"],
    ["model-00003-of-00003.safetensors", "de"],
  ]);
  assertEquals(files(1).map(([, names]) => names), ["a", "b", "c", "d", "e"]);
  for (const maxBytes of [undefined, 428]) assertEquals(files(maxBytes), [["model.safetensors", "abcde"]]);
});

Deno.test("createModel() makes files and an index that openShardedSafetensors() reads where layOutModel() says", () =>
  withTempDir(async (folder) => {
    const parts = divideModel([["a", [2]], ["b", [3]], ["c", [5]]], 24);
    await createModel(folder, parts);
    const path = `${folder}/model.safetensors.index.json`;
    assertEquals(await openShardedSafetensors(path), layOutModel(folder, parts));
    assertEquals(JSON.parse(await Deno.readTextFile(path)).metadata, { total_size: 40 });
  }));
