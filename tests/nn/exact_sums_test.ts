import { assertEquals, assertThrows } from "@std/assert";
import { ExactSums, GradientArena } from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

function open(options: { sequences: number; tokens: number; units: number }) {
  const backend = makeBackend(), arena = new GradientArena(backend.heap);
  return { heap: backend.heap, exact: new ExactSums({ backend, arena, ...options }) };
}

Deno.test("ExactSums.rowTree() pairs units from both ends of a sequence; rows without units are sequences", () => {
  const { exact } = open({ sequences: 2, tokens: 16, units: 4 });
  assertEquals(exact.rowTree(32).leaves.map((runs) => runs.map(({ start }) => start)), [[0, 12], [4, 8], [
    16,
    28,
  ], [20, 24]]);
  assertEquals(exact.rowTree(2).leaves, [[{ start: 0, length: 1 }], [{ start: 1, length: 1 }]]);
  assertThrows(() => exact.rowTree(3), RangeError, "Cannot sum exactly over 3 rows of 2 sequences");
});

Deno.test("ExactSums.slotTree() has leaves of a pair of units' slots", () => {
  const { exact } = open({ sequences: 1, tokens: 16, units: 4 });
  assertEquals(exact.slotTree(8, 3).leaves[3], [{ start: 15, length: 3 }, { start: 18, length: 3 }]);
});

Deno.test("ExactSums.unitSums() folds sums of units in the tree of their rows", () => {
  const { heap, exact } = open({ sequences: 1, tokens: 8, units: 4 }),
    out = heap.allocate("gradient", 1, "gradients");
  const { units, sums, fold } = exact.unitSums(8, 1);
  // ((1 + -1) + (2^24 + 1)): a chain would lose the last term.
  heap.f32(sums).set([1, 2 ** 24, 2, -1]);
  heap.f32(out)[0] = 0;
  fold(out);
  assertEquals([units, heap.f32(out)[0]], [4, 2 ** 24 + 2]);
});

Deno.test("ExactSums.queryRuns() tells where units begin in the sequence", () => {
  const held = [0, 1, 2, 3, 12, 13, 14, 15];
  assertEquals(open({ sequences: 1, tokens: 8, units: 4 }).exact.queryRuns((i) => held[i]), [0, 2, 12, 14]);
  assertEquals(open({ sequences: 1, tokens: 9, units: 1 }).exact.queryRuns((i) => i), undefined);
});
