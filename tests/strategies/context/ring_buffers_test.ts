import { assertEquals } from "@std/assert";
import { type AttentionInputs, fusedInputs, separateInputs, Tape } from "../../../nn/mod.ts";
import { RingBuffers } from "../../../strategies/mod.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";

/** `group` heads of q, of width 4, for each of k and v. */
function inputsOf(rows: number, { headDim = 4, group = 1 } = {}): AttentionInputs {
  const tape = new Tape({ backend: phantomBackend(), training: false });
  return fusedInputs(tape.input("qkv", [1, rows, (group + 2) * headDim]), { headDim, group });
}

Deno.test("RingBuffers take() gives the ops of a device the same blocks, smaller ops a part of them", () => {
  const { heap } = makeBackend(), buffers = new RingBuffers();
  const large = buffers.take(heap, inputsOf(6), "f32"), bytes = heap.usedBytes().buffers;
  assertEquals(buffers.take(heap, inputsOf(6), "f32"), large);
  const small = buffers.take(heap, inputsOf(2), "f32");
  assertEquals(heap.usedBytes().buffers, bytes);
  for (const name of ["keyValues", "gradients"] as const) {
    for (const i of [0, 1]) {
      assertEquals(small[name][i], { ...large[name][i], length: 2 * 2 * 4 });
      assertEquals(large[name][i].length, 2 * 6 * 4);
    }
  }
  assertEquals([small.places.k, small.places.v].map((ids) => [...heap.i32(ids)]), [[1, 4], [2, 5]]);
});

Deno.test("RingBuffers take() makes room for the results of all heads, and knows where keys lie", () => {
  const { heap } = makeBackend(),
    buffers = new RingBuffers(),
    large = buffers.take(heap, inputsOf(6, { group: 3 }), "f32");
  const { gradients, results, places } = buffers.take(heap, inputsOf(2, { group: 3 }), "f32");
  assertEquals([gradients[1].length, results[1].length, large.results[1].length], [
    2 * 2 * 4,
    2 * 3 * 4,
    6 * 3 * 4,
  ]);
  assertEquals(gradients[0].byteOffset, results[0].byteOffset);
  assertEquals([places.k, places.v].map((ids) => [...heap.i32(ids)]), [[3, 8], [4, 9]]);
  const tape = new Tape({ backend: phantomBackend(), training: false });
  const [q, k, v] = [12, 4, 4].map((width) => tape.input("x", [1, 2, width]));
  const apart = buffers.take(heap, separateInputs({ q, k, v }, 4), "f32").places;
  assertEquals([apart.k, apart.v].map((ids) => [...heap.i32(ids)]), [[0, 1], [0, 1]]);
});

Deno.test("RingBuffers take() allocates for ops that are larger or of another width, and for every heap", () => {
  const { heap } = makeBackend(), buffers = new RingBuffers();
  const first = buffers.take(heap, inputsOf(2), "f32");
  const offsets = [
    first,
    buffers.take(heap, inputsOf(3), "f32"),
    buffers.take(heap, inputsOf(2, { headDim: 2 }), "f32"),
    buffers.take(heap, inputsOf(2), "bf16"),
    buffers.take(heap, inputsOf(2, { group: 3 }), "f32"),
  ].map(({ keyValues }) => keyValues[0].byteOffset);
  assertEquals(new Set(offsets).size, 5);
  const phantom = phantomBackend().heap;
  buffers.take(phantom, inputsOf(2), "f32");
  assertEquals(phantom.usedBytes().buffers > 0, true);
});
