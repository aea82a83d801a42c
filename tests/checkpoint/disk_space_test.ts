import { assertEquals } from "@std/assert";
import { freeBytes } from "../../checkpoint/disk_space.ts";

Deno.test("freeBytes() is a number of bytes, or undefined where there is nothing to ask", () => {
  const free = freeBytes(".");
  assertEquals(free === undefined || free > 0, true);
  assertEquals(freeBytes("/nowhere/at/all"), undefined);
});
