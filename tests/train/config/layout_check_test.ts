import { assertEquals } from "@std/assert";
import { resolveConfig } from "../../../train/mod.ts";
import { countMicroBatches } from "../../../train/config/combinations.ts";
import { loadSchedule } from "../../../train/config/layout_check.ts";

const resolve = (options: Record<string, number | string>) => resolveConfig(options, { numCores: 4 });

Deno.test("countMicroBatches() is the same on every rank, also of batches that do not divide", () => {
  const numerics = "fast";
  assertEquals(countMicroBatches({ numerics, batch: 12, dp: 2, ep: 1, microBatch: 6 }), 1);
  assertEquals(countMicroBatches({ numerics, batch: 12, dp: 2, ep: 1, microBatch: 4 }), 2);
  assertEquals(countMicroBatches({ numerics, batch: 7, dp: 3, ep: 1, microBatch: 1 }), 3);
  assertEquals(countMicroBatches({ numerics: "exact", batch: 12, dp: 2, ep: 1, microBatch: 1 }), 8);
});

Deno.test("loadSchedule() runs one device's micro-batches one after another", async () => {
  const { name, p, m } = await loadSchedule(resolve({ dp: 1, batch: 8, microBatch: 2, schedule: "gpipe" }));
  assertEquals([name, p, m], ["1f1b", 1, 4]);
});

Deno.test("loadSchedule() gives virtual stages to the interleaved schedule only", async () => {
  const sizes = { pp: 2, dp: 1, batch: 8, microBatch: 2, virtualStages: 3 };
  assertEquals((await loadSchedule(resolve({ ...sizes, schedule: "interleaved" }))).v, 3);
  assertEquals((await loadSchedule(resolve({ ...sizes, schedule: "gpipe" }))).v, 1);
});
