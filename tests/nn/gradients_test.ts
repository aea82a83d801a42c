import { assertEquals, assertThrows } from "@std/assert";
import { GradientArena } from "../../nn/mod.ts";
import { phantomBackend } from "../support/device.ts";

Deno.test("GradientArena hands a block out again once it was given back, for the same length only", () => {
  const { heap } = phantomBackend(), arena = new GradientArena(heap);
  const first = arena.take("x", 100), second = arena.take("y", 100);
  assertEquals(first.byteOffset === second.byteOffset, false);
  arena.give(first);
  assertEquals(arena.take("z", 50).byteOffset === first.byteOffset, false);
  assertEquals(arena.take("z", 100), first);
});

Deno.test("GradientArena release() gives its blocks back to the heap", () => {
  const { heap } = phantomBackend(), arena = new GradientArena(heap);
  arena.give(arena.take("x", 100));
  arena.take("y", 7);
  assertEquals(heap.totalBytes > 0, true);
  arena.release();
  assertEquals(heap.totalBytes, 0);
});

Deno.test("GradientArena names the tensor when memory runs out", () => {
  const arena = new GradientArena(phantomBackend(1 << 16).heap);
  assertThrows(() => arena.take("h.0.attn", 1 << 20), Error, "gradient of h.0.attn");
});
