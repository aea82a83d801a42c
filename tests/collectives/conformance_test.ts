import { assertEquals } from "@std/assert";
import { type DType, DTYPE_BYTES } from "../../kernels/mod.ts";
import { HIGH_PLACES } from "../support/high_memory.ts";
import type { Case } from "./support/programs.ts";
import { TestWorld, valuesOf } from "./support/world.ts";

function lengthsOf(size: number): number[] {
  return [...new Set([0, 1, size - 1, size, size + 1, 31, 257, 1000, 1021])];
}

const LARGE = [10_007, 33_000];

function casesOf(size: number): Case[] {
  const cases: Case[] = [];
  const types: (readonly [DType, "sum" | "max"])[] = [
    ...[["f32", "sum"], ["f32", "max"], ["f64", "sum"], ["i32", "sum"], ["bf16", "sum"]] as const,
  ];
  for (const [dtype, reduction] of types) {
    for (const length of [...lengthsOf(size), ...LARGE]) {
      const common = { length, dtype, reduction };
      const isSmall = length * DTYPE_BYTES[dtype] <= 8192;
      for (const algorithm of ["eager", "ordered", "ring", "auto"] as const) {
        if (algorithm !== "eager" || isSmall) cases.push({ operation: "allReduce", algorithm, ...common });
      }
      cases.push({ operation: "reduceScatter", ...common });
    }
  }
  for (const length of [...lengthsOf(size), ...LARGE]) {
    for (const operation of ["allGather", "broadcast", "allToAll", "sendRecv"] as const) {
      cases.push({ operation, length, dtype: "f32" });
    }
    for (const dtype of ["f64", "bf16"] as const) cases.push({ operation: "allGather", length, dtype });
    cases.push({ operation: "allToAll", length, dtype: "bf16" });
  }
  for (const row of [1, 5, 48]) {
    for (const rows of [0, 1, size - 1, size + 1, 2 * size, 101]) {
      for (const operation of ["allGather", "reduceScatter"] as const) {
        cases.push({ operation, length: rows * row, row, dtype: "f32" });
      }
    }
  }
  return cases;
}

/** A word holds an offset above 2 GiB as a negative number. */
Deno.test("collectives give the same bits where ranks' spans lie above 2 GiB", async () => {
  const places = Object.values(HIGH_PLACES);
  for (const worldSize of [2, 3]) {
    using world = new TestWorld(worldSize, places);
    const run = { worldSize, config: casesOf(worldSize), deadlineMs: 30_000 };
    assertEquals(valuesOf(await world.run<string[]>("conformance", run)).flat(), []);
  }
});

Deno.test("collectives give the bits of their serial twins", async (t) => {
  using world = new TestWorld(7);
  for (const worldSize of [1, 2, 3, 4, 7]) {
    await t.step(`${worldSize} ranks`, async () => {
      const outcomes = await world.run<string[]>("conformance", {
        worldSize,
        config: casesOf(worldSize),
        deadlineMs: 30_000,
      });
      assertEquals(valuesOf(outcomes).flat(), []);
    });
  }
  for (const worldSize of [2, 3, 4]) {
    await t.step(`operations announced ahead, ${worldSize} ranks`, async () => {
      const outcomes = await world.run<string[]>("ahead", { worldSize, config: { count: 40, length: 700 } });
      assertEquals(valuesOf(outcomes).flat(), []);
      const long = await world.run<string[]>("ahead", { worldSize, config: { count: 16, length: 9000 } });
      assertEquals(valuesOf(long).flat(), []);
    });
  }
  await t.step("a wait in one group progresses the operations of another", async () => {
    const groups = [
      { name: "rows", ranks: [0, 1] },
      { name: "rows", ranks: [2, 3] },
      { name: "columns", ranks: [0, 1] },
      { name: "columns", ranks: [2, 3] },
    ];
    const outcomes = await world.run<number>("twoGroups", { worldSize: 4, groups });
    assertEquals(valuesOf(outcomes), [30_003, 30_003, 70_007, 70_007]);
  });
});
