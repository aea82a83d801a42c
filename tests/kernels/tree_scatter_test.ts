import { assertEquals, assertThrows } from "@std/assert";
import { bisectionTree, rowTree, type SumTree } from "../../kernels/mod.ts";
import { scatterPlan } from "../../kernels/wasm/tree_scatter.ts";

/** A tree that adds one leaf after the other. */
function chainOf(count: number): SumTree {
  const leaves = Array.from({ length: count }, (_, start) => [{ start, length: 1 }]);
  return { leaves, merges: leaves.map((_, i) => Math.min(1, i)) };
}

Deno.test("scatterPlan() names each run with the path to its leaf", () => {
  const { runs, rows, depth } = scatterPlan(rowTree({ sequences: 3, units: 2, unitRows: 4 }));
  const paths = [0, 0b10, 0b11].map((path) => path << 30);
  assertEquals(
    [...runs],
    [0, 1, 2].flatMap((s) => [8 * s, 8 * s + 4, paths[s], 8 * s + 4, 8 * s + 8, paths[s]]),
  );
  assertEquals({ rows, depth }, { rows: 24, depth: 2 });
});

Deno.test("scatterPlan() of one leaf, of none, and of as many merges as a path has bits", () => {
  assertEquals([...scatterPlan(bisectionTree([[{ start: 1, length: 2 }]])).runs], [1, 3, 0]);
  assertEquals(scatterPlan(bisectionTree([])), { runs: new Int32Array(0), rows: 0, depth: 0 });
  assertEquals([...scatterPlan(chainOf(33)).runs.slice(0, 6)], [0, 1, 0, 1, 2, 1]);
  assertThrows(
    () => scatterPlan(chainOf(34)),
    RangeError,
    "Cannot scatter by a tree of depth 33: 32 is the most",
  );
});
