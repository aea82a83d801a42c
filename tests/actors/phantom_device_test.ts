import { assertEquals, assertThrows } from "@std/assert";
import { PhantomDevice } from "../../actors/mod.ts";
import { Mesh } from "../../strategies/mod.ts";

Deno.test("a phantom device joins the groups of its rank and books what they would move", () => {
  const device = new PhantomDevice(new Mesh({ dp: 2, tp: 2 }).topology(), 3), { heap } = device;
  assertEquals([device.rank, device.worldSize, heap.memory], [3, 4, undefined]);
  const tp = device.group("tp");
  assertEquals([tp.size, tp.index, [...tp.ranks]], [2, 1, [2, 3]]);
  assertEquals(device.group("tp"), tp);
  const buffers = heap.usedBytes().buffers;
  device.group("dp");
  assertEquals(heap.usedBytes().buffers > buffers, true, "a group has buffers");
  const x = heap.allocate("x", 4096, "activations");
  tp.allReduce(x, { label: "x" });
  assertEquals(device.operations, [{ group: "tp", operation: "allReduce", label: "x", bytes: 4096 * 4 }]);
  device.enter(0, "forward");
  assertEquals(device.isStopRequested, false);
  assertEquals([...heap.f32(x)].every((value) => value === 0), true);
});

Deno.test("a phantom device is in no group that its topology does not have", () => {
  const device = new PhantomDevice({ worldSize: 1, groups: [] }, 0);
  assertThrows(() => device.group("tp"), RangeError, "Cannot find group tp: rank 0 is in no such group");
});

Deno.test("a world of a thousand ranks is planned without its words", () => {
  const device = new PhantomDevice(new Mesh({ dp: 1024 }).topology(), 1023);
  assertEquals(device.group("world").size, 1024);
});
