import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { writeAll, writeAllSync } from "../../files/mod.ts";

/** A file on a disk that takes three bytes at a time, and `room` in all. */
function slowFile(room = Infinity) {
  const taken: number[] = [];
  const writeSync = (bytes: Uint8Array) => {
    if (taken.length >= room) throw new Error("disk full");
    const part = bytes.subarray(0, Math.min(3, room - taken.length));
    taken.push(...part);
    return part.length;
  };
  return { taken, writeSync, write: (bytes: Uint8Array) => Promise.resolve().then(() => writeSync(bytes)) };
}

Deno.test("writeAll() and writeAllSync() go on until a file has taken every byte, in order", async () => {
  for (const length of [0, 1, 3, 10]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i + 1), files = [slowFile(), slowFile()];
    await writeAll(files[0], bytes);
    writeAllSync(files[1], bytes);
    assertEquals(files.map(({ taken }) => taken), [[...bytes], [...bytes]]);
  }
});

Deno.test("writeAll() and writeAllSync() throw what the file throws, also in the middle", async () => {
  const bytes = new Uint8Array(10), files = [slowFile(4), slowFile(4)];
  await assertRejects(() => writeAll(files[0], bytes), Error, "disk full");
  assertThrows(() => writeAllSync(files[1], bytes), Error, "disk full");
  assertEquals(files.map(({ taken }) => taken.length), [4, 4]);
});
