/** What a replica computes is in tests/equivalence; here: how it cuts a batch. */
import { assertEquals } from "@std/assert";
import { resolveConfig } from "../../train/mod.ts";
import { countMicroBatches, scheduleOf } from "../../train/replica.ts";

const resolve = (options: Record<string, number | string>) => resolveConfig(options, { numCores: 4 });

Deno.test("countMicroBatches() is the same on every rank, also of batches that do not divide", () => {
  assertEquals(countMicroBatches({ batch: 12, dp: 2, microBatch: 6 }), 1);
  assertEquals(countMicroBatches({ batch: 12, dp: 2, microBatch: 4 }), 2);
  assertEquals(countMicroBatches({ batch: 7, dp: 3, microBatch: 1 }), 3);
});

Deno.test("scheduleOf() runs one device's micro-batches one after another", () => {
  const { name, p, m } = scheduleOf(resolve({ dp: 1, batch: 8, microBatch: 2, schedule: "gpipe" }));
  assertEquals([name, p, m], ["1f1b", 1, 4]);
});

Deno.test("scheduleOf() gives virtual stages to the interleaved schedule only", () => {
  const sizes = { pp: 2, dp: 1, batch: 8, microBatch: 2, virtualStages: 3 };
  assertEquals(scheduleOf(resolve({ ...sizes, schedule: "interleaved" })).v, 3);
  assertEquals(scheduleOf(resolve({ ...sizes, schedule: "gpipe" })).v, 1);
});
