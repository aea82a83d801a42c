import { assertEquals, assertThrows } from "@std/assert";
import { createDeviceMemory, DeviceHeap, subspan } from "../../kernels/mod.ts";
import { Parameter, type Shard } from "../../nn/mod.ts";
import { fillPieces, writePieces } from "../../train/pieces.ts";

function makePiece(shape: number[], shard: Shard | undefined, start: number, length: number) {
  const heap = new DeviceHeap({ capBytes: 1 << 20, memory: createDeviceMemory(1 << 20) });
  const span = heap.allocate("p", 64, "parameters");
  const parameter = new Parameter({ name: "p", shape, globalShape: [4, 6], shard, span });
  return { heap, piece: { parameter, start, values: subspan(span, 0, length) } };
}

const WHOLE = new Float32Array(24).map((_, i) => i);

Deno.test("fillPieces() takes a run of a whole parameter", () => {
  const { heap, piece } = makePiece([4, 6], undefined, 5, 4);
  fillPieces(heap, [piece], ({ values }) => values, new Map([["p", WHOLE]]));
  assertEquals([...heap.f32(piece.values)], [5, 6, 7, 8]);
});

Deno.test("fillPieces() takes a run of a column shard, and writePieces() puts it back", () => {
  const shard = { dim: 1, runs: [{ start: 1, length: 1 }, { start: 4, length: 2 }] };
  // The shard's elements are 1 4 5 | 7 10 11 | 13 16 17 | 19 22 23.
  const { heap, piece } = makePiece([4, 3], shard, 2, 6);
  fillPieces(heap, [piece], ({ values }) => values, new Map([["p", WHOLE]]));
  assertEquals([...heap.f32(piece.values)], [5, 7, 10, 11, 13, 16]);
  const back = new Float32Array(24).fill(-1);
  writePieces(heap, [piece], ({ values }) => values, new Map([["p", back]]));
  assertEquals(
    [...back.entries()].filter(([, value]) => value >= 0),
    [5, 7, 10, 11, 13, 16].map((i) => [i, i]),
  );
});

Deno.test("fillPieces() names a tensor that is missing or of another size", () => {
  const { heap, piece } = makePiece([4, 6], undefined, 0, 24), message = "Cannot load p of 24 values";
  assertThrows(
    () => fillPieces(heap, [piece], ({ values }) => values, new Map()),
    Error,
    `${message}: the checkpoint has none`,
  );
  const short = new Map([["p", new Float32Array(3)]]);
  assertThrows(
    () => fillPieces(heap, [piece], ({ values }) => values, short),
    Error,
    `${message}: the checkpoint has 3`,
  );
});
