/**
 * What you learn: every device owns one shared memory; a collective adds up what the devices hold, straight from memory
 * to memory, and all of them get the same bits.
 *
 *     deno run --allow-read examples/02_all_reduce.ts
 *
 * prints (4 ranks, ring: each moves 2 (n - 1) / n = 1.5 times its 4096 bytes):
 *
 *     rank 0: sum 10, moved 6144 bytes
 *     ...
 */
import { assertEquals } from "@std/assert";
import { type Device, launch, Mesh } from "../mod.ts";

interface Result {
  sum: number;
  bytesMoved: number;
}

/** The program: 1024 numbers, all equal to rank + 1, are summed over the group. */
export default function sumOfRanks(device: Device): Result {
  const span = device.heap.allocate("numbers", 1024, "buffers");
  device.heap.f32(span).fill(device.rank + 1);
  device.group("dp").allReduce(span, { algorithm: "ring", label: "numbers" });
  return { sum: device.heap.f32(span)[1023], bytesMoved: device.ledger.read().bytesMoved };
}

if (import.meta.main) {
  const topology = new Mesh({ dp: 4 }).topology();
  const world = launch({ program: import.meta.url, topology, deviceMemoryBytes: 4 << 20 });
  const results = await world.done as Result[];
  for (const [rank, { sum, bytesMoved }] of results.entries()) {
    console.log(`rank ${rank}: sum ${sum}, moved ${bytesMoved} bytes`);
  }
  assertEquals(results.map(({ sum }) => sum), [10, 10, 10, 10]);
}
