import { assertEquals, assertThrows } from "@std/assert";
import { openSafetensors, readSafetensors, type TensorIndex, writeSafetensors } from "../../files/mod.ts";
import { createDeviceMemory, DeviceHeap, subspan } from "../../kernels/mod.ts";
import { Parameter, type Shard } from "../../nn/mod.ts";
import { fillPieces, writePieces } from "../../checkpoint/pieces.ts";
import { withTempDir } from "../support/temp_dir.ts";

function makePiece(shape: number[], shard: Shard | undefined, start: number, length: number) {
  const heap = new DeviceHeap({ capBytes: 1 << 20, memory: createDeviceMemory(1 << 20) });
  const span = heap.allocate("p", 64, "parameters");
  const parameter = new Parameter({ name: "p", shape, globalShape: [4, 6], shard, span });
  return { heap, piece: { parameter, start, values: subspan(span, 0, length) } };
}

const WHOLE = new Float32Array(24).map((_, i) => i);

/** Hands over where a tensor `p` of a file lies, and its path. */
async function withStored(
  values: Float32Array,
  fn: (index: TensorIndex, path: string) => void | Promise<void>,
) {
  await withTempDir(async (folder) => {
    const path = `${folder}/p.safetensors`;
    await writeSafetensors(path, [{ name: "p", shape: [values.length], data: values }]);
    await fn(await openSafetensors(path), path);
  });
}

Deno.test("fillPieces() takes a run of a whole parameter", () =>
  withStored(WHOLE, (index) => {
    const { heap, piece } = makePiece([4, 6], undefined, 5, 4);
    fillPieces(heap, [piece], ({ values }) => values, index);
    assertEquals([...heap.f32(piece.values)], [5, 6, 7, 8]);
  }));

Deno.test("fillPieces() takes a run of a column shard, and writePieces() puts it back", async () => {
  const shard = { dim: 1, runs: [{ start: 1, length: 1 }, { start: 4, length: 2 }] };
  // The shard's elements are 1 4 5 | 7 10 11 | 13 16 17 | 19 22 23.
  const { heap, piece } = makePiece([4, 3], shard, 2, 6);
  await withStored(WHOLE, (index) => fillPieces(heap, [piece], ({ values }) => values, index));
  assertEquals([...heap.f32(piece.values)], [5, 7, 10, 11, 13, 16]);
  await withStored(new Float32Array(24).fill(-1), async (index, path) => {
    writePieces(heap, [piece], ({ values }) => values, index);
    const { data } = (await readSafetensors(path)).get("p")!;
    assertEquals(
      [...data.entries()].filter(([, value]) => value >= 0),
      [5, 7, 10, 11, 13, 16].map((i) => [i, i]),
    );
  });
});

Deno.test("fillPieces() names a tensor that is missing or of another size", async () => {
  const { heap, piece } = makePiece([4, 6], undefined, 0, 24), message = "Cannot load p of 24 values";
  assertThrows(
    () => fillPieces(heap, [piece], ({ values }) => values, new Map()),
    Error,
    `${message}: the checkpoint has none`,
  );
  await withStored(new Float32Array(3), (index) => {
    assertThrows(
      () => fillPieces(heap, [piece], ({ values }) => values, index),
      Error,
      `${message}: the checkpoint has 3`,
    );
  });
});
