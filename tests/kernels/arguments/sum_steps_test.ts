import { assert, assertEquals, assertThrows } from "@std/assert";
import { bisectionTree, rowTree, unitTree } from "../../../kernels/mod.ts";
import { checkTree, sumSteps } from "../../../kernels/arguments/sum_steps.ts";

Deno.test("sumSteps() chains the rows of a leaf into its first, then merges", () => {
  const { rows, steps, total } = sumSteps(rowTree({ sequences: 1, units: 4, unitRows: 2 }));
  assertEquals([...steps], [0, 1, 1, 0, 6, 2, 2, 3, 1, 2, 4, 2, 0, 2, 1]);
  assertEquals({ rows, total }, { rows: 8, total: 0 });
});

Deno.test("sumSteps() skips leaves without terms", () => {
  const { rows, steps, total } = sumSteps(bisectionTree([[], [{ start: 2, length: 1 }], [], []]));
  assertEquals({ rows, steps: [...steps], total }, { rows: 3, steps: [], total: 2 });
  assertEquals(sumSteps(bisectionTree([[], []])).total, -1);
});

Deno.test("sumSteps() works a tree out once", () => {
  const tree = unitTree({ sequences: 2, units: 2 });
  assert(sumSteps(tree) === sumSteps(tree));
});

Deno.test("checkTree() refuses terms that occur twice, and merges that do not end in one sum", () => {
  const leaf = [{ start: 0, length: 2 }];
  assertThrows(() => checkTree(bisectionTree([leaf, leaf])), RangeError, "names term 0 twice");
  assertThrows(() => checkTree({ leaves: [leaf], merges: [1] }), RangeError, "do not join 1 leaves");
});
