import { assertEquals } from "@std/assert";
import { resolveConfig } from "../../../train/mod.ts";
import { samplerOf, sharesOf } from "../../../train/step/rank_samples.ts";

Deno.test("sharesOf() shares a batch out over micro-batches, then over replicas, without gaps", () => {
  for (const numerics of ["fast", "exact"] as const) {
    const seen: number[] = [];
    for (let microBatch = 0; microBatch < 2; microBatch++) {
      for (let index = 0; index < 2; index++) {
        const { start, size } = sharesOf({ batch: 7, numerics }, { size: 2, index }, { m: 2, microBatch });
        for (let i = 0; i < size; i++) seen.push(start + i);
      }
    }
    assertEquals(seen, [0, 1, 2, 3, 4, 5, 6], numerics);
  }
});

Deno.test("samplerOf() counts ranks with sequences of their own", () => {
  const config = resolveConfig({ dp: 2, tp: 2, batch: 4 }, { numCores: 4 });
  assertEquals([0, 1, 2, 3].map((rank) => samplerOf(rank, config).index), [0, 0, 1, 1]);
  assertEquals(samplerOf(0, config).size, 2);
});
