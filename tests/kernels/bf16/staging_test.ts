import { assertEquals } from "@std/assert";
import { Bf16Staging, isBf16 } from "../../../kernels/bf16/staging.ts";
import { DeviceHeap } from "../../../kernels/mod.ts";

Deno.test("staging memory grows to powers of two, and one operation's pieces lie on lines", () => {
  const heap = new DeviceHeap({ capBytes: 1 << 20 }), staging = new Bf16Staging(heap);
  assertEquals(heap.totalBytes, 0);
  staging.begin([5, 17]);
  const [first, second] = [staging.take(5), staging.take(17)];
  assertEquals([second.byteOffset - first.byteOffset, second.length, heap.usedBytes().workspace], [
    64,
    17,
    16384,
  ]);
  staging.begin([4000, 1000]);
  assertEquals(heap.usedBytes().workspace, 4 * 8192);
  staging.begin([10]);
  assertEquals(heap.usedBytes().workspace, 4 * 8192);
});

Deno.test("isBf16() tells spans of bf16 from all else", () => {
  const span = { byteOffset: 64, length: 1 };
  assertEquals([undefined, 3, { ...span, dtype: "f32" }, { ...span, dtype: "bf16" }].map(isBf16), [
    ...[false, false, false, true],
  ]);
});
