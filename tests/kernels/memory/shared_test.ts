import { assertEquals } from "@std/assert";
import { toShared } from "../../../kernels/memory/shared.ts";

Deno.test("toShared() copies values into shared memory", () => {
  for (const values of [toShared(Float32Array.of(0.5, 2)), toShared(Int32Array.of(1, -2))]) {
    assertEquals(values.buffer instanceof SharedArrayBuffer, true);
    assertEquals(values.length, 2);
  }
  assertEquals([...toShared(Int32Array.of(1, -2))], [1, -2]);
});
