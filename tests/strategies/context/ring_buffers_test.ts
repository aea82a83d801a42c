import { assertEquals } from "@std/assert";
import { RingBuffers } from "../../../strategies/mod.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";

Deno.test("RingBuffers take() gives the ops of a device the same blocks, smaller ops a part of them", () => {
  const { heap } = makeBackend(), buffers = new RingBuffers();
  const large = buffers.take(heap, { rows: 6, channels: 4 }), bytes = heap.usedBytes().buffers;
  assertEquals(buffers.take(heap, { rows: 6, channels: 4 }), large);
  const small = buffers.take(heap, { rows: 2, channels: 4 });
  assertEquals(heap.usedBytes().buffers, bytes);
  for (const name of ["keyValues", "gradients"] as const) {
    for (const i of [0, 1]) {
      assertEquals(small[name][i], { ...large[name][i], length: 2 * 2 * 4 });
      assertEquals(large[name][i].length, 2 * 6 * 4);
    }
  }
  assertEquals([...heap.i32(small.ids)], [1, 2, 4, 5]);
});

Deno.test("RingBuffers take() allocates for ops that are larger or of another width, and for every heap", () => {
  const { heap } = makeBackend(), buffers = new RingBuffers();
  const first = buffers.take(heap, { rows: 2, channels: 4 });
  const offsets = [
    first,
    buffers.take(heap, { rows: 3, channels: 4 }),
    buffers.take(heap, { rows: 2, channels: 2 }),
  ].map(({ keyValues }) => keyValues[0].byteOffset);
  assertEquals(new Set(offsets).size, 3);
  const phantom = phantomBackend().heap;
  buffers.take(phantom, { rows: 2, channels: 4 });
  assertEquals(phantom.usedBytes().buffers > 0, true);
});
