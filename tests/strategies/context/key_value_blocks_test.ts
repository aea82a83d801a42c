import { assertEquals, assertNotEquals } from "@std/assert";
import { type AttentionInputs, fusedInputs, separateInputs, Tape, type Tensor } from "../../../nn/mod.ts";
import {
  allocatePlaces,
  blockRows,
  keyChannels,
  packingKey,
  packingOf,
  unpackingOf,
} from "../../../strategies/context/key_value_blocks.ts";
import { makeBackend } from "../../support/device.ts";

/** Elements are 100 x row + column among those of q, k and v: four columns of q, two of k, two of v. */
function setUp(isFused: boolean) {
  const backend = makeBackend(), { heap } = backend, tape = new Tape({ backend, training: false });
  const tensor = (name: string, first: number, width: number): Tensor => {
    const made = tape.input(name, [2, 3, width]);
    heap.f32(made.span).forEach((_, i, all) => all[i] = 100 * Math.floor(i / width) + first + i % width);
    return made;
  };
  const inputs: AttentionInputs = isFused
    ? fusedInputs(tensor("qkv", 0, 8), { headDim: 2, group: 2 })
    : separateInputs({ q: tensor("q", 0, 4), k: tensor("k", 4, 2), v: tensor("v", 6, 2) }, 2);
  return { backend, heap, inputs, block: tape.input("block", [2, 6, 2]).span };
}

for (const isFused of [true, false]) {
  Deno.test(`a block holds the keys, then the values, and gives both back: ${isFused ? "one tensor" : "three"}`, () => {
    const { backend, heap, inputs, block } = setUp(isFused), places = allocatePlaces(heap, inputs, "a test");
    for (const half of packingOf(inputs, places, block)) backend.gather(half);
    const columns = (first: number) =>
      [0, 1, 2, 3, 4, 5].flatMap((row) => [100 * row + first, 100 * row + first + 1]);
    assertEquals([...heap.f32(block)], [...columns(4), ...columns(6)]);
    const { k, v } = blockRows(block, inputs);
    assertEquals([k.ld, k.stride, v.ld, v.stride], [2, 6, 2, 6]);
    assertEquals(v.span, { ...block, byteOffset: block.byteOffset + 4 * 12, length: 12 });
    const spans = new Map([inputs.q, inputs.k, inputs.v].map(({ tensor }) => [tensor, tensor.span]));
    const before = heap.f32(inputs.q.tensor.span).slice();
    for (const half of unpackingOf(inputs, places, { block, spans })) backend.scatterAdd(half);
    const doubled = before.map((value, i) => isFused && i % 8 >= 4 ? 2 * value : value);
    assertEquals(heap.f32(inputs.q.tensor.span), doubled);
    assertEquals(heap.f32(spans.get(inputs.v.tensor)!).at(-1), 2 * (100 * 5 + 7));
  });
}

Deno.test("packingKey() tells inputs apart that are packed differently", () => {
  const [fused, apart] = [true, false].map((isFused) => setUp(isFused).inputs);
  assertNotEquals(packingKey(fused), packingKey(apart));
  assertEquals(packingKey(fused), packingKey(setUp(true).inputs));
  assertEquals([keyChannels(fused), keyChannels(apart)], [2, 2]);
});
