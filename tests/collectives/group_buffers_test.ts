import { assertEquals, assertThrows } from "@std/assert";
import { EAGER_MAX_BYTES } from "../../collectives/algorithms/all_reduce.ts";
import { ControlLayout } from "../../collectives/mod.ts";
import { GroupBuffers } from "../../collectives/group_buffers.ts";
import { DeviceHeap, type Span } from "../../kernels/mod.ts";

function take(size: number, ringSlots?: number) {
  const ranks = Array.from({ length: size }, (_, rank) => rank), heap = new DeviceHeap({ capBytes: 2 ** 24 });
  const layout = new ControlLayout({ worldSize: size, groups: [{ name: "g", ranks }] }, { ringSlots });
  return { heap, buffers: new GroupBuffers({ layout, group: 0, rank: size - 1 }, heap) };
}

const SPAN: Span = { byteOffset: 0, length: 1, dtype: "f32" };

Deno.test("GroupBuffers has a slot for each operation that may be announced ahead, used in turn", () => {
  const { buffers, heap } = take(2, 4),
    slots = [0, 1, 2, 3, 4, -1].map((sequence) => buffers.eagerSlot(sequence));
  assertEquals(slots.map((slot) => (slot - slots[0]) / EAGER_MAX_BYTES), [0, 1, 2, 3, 0, 3]);
  assertEquals(heap.usedBytes().buffers >= 4 * EAGER_MAX_BYTES, true);
});

Deno.test("GroupBuffers of a group of one takes nothing, whatever it reduces", () => {
  const { buffers, heap } = take(1);
  for (const dtype of ["f32", "bf16", "f64"] as const) buffers.reductionOf({ ...SPAN, dtype }, {});
  assertEquals(heap.usedBytes().buffers, 0);
});

Deno.test("GroupBuffers takes the scratch of bf16 once, and none for what cannot be reduced", () => {
  const { buffers, heap } = take(2), used = () => heap.usedBytes().buffers, before = used();
  const bf16: Span = { ...SPAN, dtype: "bf16" };
  assertThrows(
    () => buffers.reductionOf(bf16, { reduction: "max" }),
    TypeError,
    "Cannot reduce by max of bf16",
  );
  buffers.reductionOf(SPAN, {});
  assertEquals(used(), before);
  const code = buffers.reductionOf(bf16, {}), after = used();
  assertEquals([after > before, buffers.reductionOf(bf16, {}), used()], [true, code, after]);
});
