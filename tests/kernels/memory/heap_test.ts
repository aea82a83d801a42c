import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ALIGN_BYTES,
  createDeviceMemory,
  DeviceHeap,
  emptyTable,
  formatBytes,
  formatTable,
  OutOfDeviceMemoryError,
  spanByteLength,
  subspan,
  sumTable,
} from "../../../kernels/mod.ts";

const CAP = 1 << 20;

function makeHeap(capBytes = CAP): DeviceHeap {
  return new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
}

Deno.test("DeviceHeap allocate() accounts aligned bytes by category", () => {
  const heap = makeHeap();
  heap.allocate("weight", 100, "parameters");
  heap.allocate("moment", 16, "optimizer");
  heap.allocate("ids", 1, "activations", "i32");
  assertEquals(heap.usedBytes(), { ...emptyTable(), parameters: 448, optimizer: 64, activations: 64 });
  assertEquals(heap.totalBytes, 576);
  assertEquals(sumTable(heap.usedBytes()), heap.totalBytes);
});

Deno.test("DeviceHeap allocate() gives aligned spans that do not overlap, also of size 0", () => {
  const heap = makeHeap(), end: number[] = [0];
  for (const length of [0, 1, 15, 16, 17, 0, 1000]) {
    const span = heap.allocate("x", length, "activations");
    assertEquals(span.byteOffset % ALIGN_BYTES, 0);
    assert(span.byteOffset >= end.at(-1)!, "overlaps its neighbour");
    assertEquals(span.length, length);
    end.push(span.byteOffset + Math.max(4, spanByteLength(span)));
  }
});

Deno.test("DeviceHeap free() lets the next allocation of the same size use the block, and the peak stays", () => {
  const heap = makeHeap();
  const first = heap.allocate("a", 100, "activations");
  heap.allocate("b", 100, "gradients");
  heap.free(first);
  assertEquals(heap.usedBytes(), { ...emptyTable(), gradients: 448 });
  assertEquals(heap.peakBytes, 896);
  assertEquals(heap.allocate("c", 110, "buffers").byteOffset, first.byteOffset);
  for (let i = 0; i < 10_000; i++) heap.free(heap.allocate("step", 5000, "activations"));
  assertEquals(heap.peakBytes, 896 + 20032);
});

Deno.test("DeviceHeap free() refuses what is not allocated", () => {
  const heap = makeHeap(), span = heap.allocate("a", 10, "activations");
  heap.free(span);
  assertThrows(() => heap.free(span), RangeError, "not allocated");
});

Deno.test("DeviceHeap enforces its cap and names the tensor, the categories and the option", () => {
  const heap = makeHeap();
  heap.allocate("weights", 100_000, "parameters");
  const error = assertThrows(() => heap.allocate("logits", 200_000, "activations"), OutOfDeviceMemoryError);
  for (
    const part of [
      "781.3 KiB of activations for logits",
      "1.0 MiB",
      "parameters 390.6 KiB",
      "--device-memory",
    ]
  ) {
    assert(error.message.includes(part), `"${error.message}" does not say "${part}"`);
  }
  assertEquals(heap.totalBytes, 400_000, "a refused allocation is not accounted");
  heap.allocate("smaller", 100_000, "activations");
});

Deno.test("DeviceHeap grows its memory and keeps what it holds", () => {
  const heap = makeHeap(), first = heap.allocate("a", 4, "activations");
  heap.f32(first).set([1, 2, 3, 4]);
  const before = heap.memory!.buffer.byteLength;
  const last = heap.allocate("b", 200_000, "activations");
  heap.f32(last).fill(5);
  assert(heap.memory!.buffer.byteLength > before);
  assertEquals([...heap.f32(first)], [1, 2, 3, 4]);
  assertEquals(heap.f32(last).at(-1), 5);
});

Deno.test("DeviceHeap without memory counts the same bytes and refuses to be read", () => {
  const phantom = new DeviceHeap({ capBytes: CAP }), heap = makeHeap();
  for (const h of [phantom, heap]) h.allocate("a", 1234, "parameters");
  assertEquals(phantom.usedBytes(), heap.usedBytes());
  assertThrows(() => phantom.allocate("c", CAP / 4, "parameters"), OutOfDeviceMemoryError);
  assertThrows(() => phantom.f32(phantom.allocate("b", 1, "buffers")), TypeError, "phantom");
});

Deno.test("DeviceHeap views an f64 span", () => {
  const heap = makeHeap(), span = heap.allocate("sum", 3, "buffers", "f64");
  heap.f64(span).set([1e300, 2, 3]);
  assertEquals([...heap.f64(span)], [1e300, 2, 3]);
  assertEquals(spanByteLength(span), 24);
});

Deno.test("subspan() takes elements and refuses what lies outside", () => {
  const span = { byteOffset: 64, length: 10, dtype: "f32" } as const;
  assertEquals(subspan(span, 4), { byteOffset: 80, length: 6, dtype: "f32" });
  assertEquals(subspan(span, 10, 0).length, 0);
  assertThrows(() => subspan(span, 4, 7), RangeError, "Cannot take elements 4..11 of a span as it has 10");
  assertThrows(() => subspan(span, -1, 2), RangeError);
});

Deno.test("formatBytes() and formatTable() write binary units", () => {
  assertEquals([0, 1023, 1024, 1536, 3 << 20, 5 * 2 ** 30].map(formatBytes), [
    ...["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "3.0 MiB", "5.0 GiB"],
  ]);
  assertEquals(formatTable(emptyTable()), "nothing");
  assertEquals(formatTable({ ...emptyTable(), gradients: 2048 }), "gradients 2.0 KiB");
});
