import { assertEquals } from "@std/assert";
import { bisectionMerges, rowTree, unitTree } from "../../../kernels/mod.ts";

Deno.test("a tree over five leaves is ((0 1) (2 (3 4)))", () => {
  assertEquals(bisectionMerges(5), [0, 1, 0, 0, 3]);
  assertEquals(bisectionMerges(0), []);
});

Deno.test("rows are summed by pairs of units from both ends of a sequence, then over sequences", () => {
  const { leaves, merges } = rowTree({ sequences: 2, units: 4, unitRows: 3 });
  assertEquals(leaves.map((runs) => runs.map(({ start }) => start)), [[0, 9], [3, 6], [12, 21], [15, 18]]);
  assertEquals(merges, [0, 1, 0, 2]);
});

Deno.test("sums of units are added in the tree of their rows", () => {
  const { leaves, merges } = unitTree({ sequences: 2, units: 4 });
  assertEquals(leaves.flat().map(({ start }) => start), [0, 3, 1, 2, 4, 7, 5, 6]);
  assertEquals(merges, [0, 1, 0, 2, 0, 1, 0, 3]);
  assertEquals(unitTree({ sequences: 3, units: 1 }).merges, [0, 0, 2]);
});

Deno.test("the halves of a batch that replicas hold are subtrees of the whole", () => {
  const whole = rowTree({ sequences: 6, units: 8, unitRows: 2 }),
    half = rowTree({ sequences: 3, units: 8, unitRows: 2 });
  const expected = [...half.merges, ...half.merges];
  expected[expected.length - 1]++;
  assertEquals(whole.merges, expected);
});

Deno.test("the pairs of units that ranks of the context axis hold are subtrees of a sequence", () => {
  const whole = rowTree({ sequences: 1, units: 8, unitRows: 1 }),
    half = rowTree({ sequences: 1, units: 4, unitRows: 1 });
  const held = [0, 1, 6, 7];
  assertEquals(
    whole.leaves.slice(0, 2).flat().map(({ start }) => start),
    half.leaves.flat().map(({ start }) => held[start]),
  );
  assertEquals(whole.merges, [0, 1, 0, 2]);
});
