import { assertEquals, assertThrows } from "@std/assert";
import { Linear, type Scope } from "../../../nn/mod.ts";
import { gptPlan } from "../../../models/mod.ts";
import { checkExactPlan, sumChunksOf } from "../../../strategies/mod.ts";

const PLAN = gptPlan({ embed: 8, heads: 4 });

/** First terms of the runs of each chunk, and their lengths. */
function chunks(name: string, shape: readonly number[], size: number, index: number) {
  const { dim, tree } = sumChunksOf(PLAN, name, shape, { size, index })!;
  return {
    dim,
    leaves: tree.leaves.map((runs) => runs.map(({ start, length }) => `${start}+${length}`).join(" ")),
  };
}

Deno.test("sumChunksOf() cuts what one device holds into the parts of four", () => {
  assertEquals(chunks("h.0.mlp.c_proj.weight", [32, 8], 1, 0), {
    dim: 0,
    leaves: ["0+8", "8+8", "16+8", "24+8"],
  });
  assertEquals(chunks("wte.weight", [16, 8], 1, 0), { dim: 0, leaves: ["0+4", "4+4", "8+4", "12+4"] });
});

Deno.test("sumChunksOf() takes the same quarter of q, k and v, counted in this device's part", () => {
  const one = ["0+2 8+2 16+2", "2+2 10+2 18+2", "4+2 12+2 20+2", "6+2 14+2 22+2"];
  assertEquals(chunks("h.0.attn.c_attn.weight", [8, 24], 1, 0), { dim: 1, leaves: one });
  assertEquals(chunks("h.0.attn.c_attn.weight", [8, 24], 2, 1).leaves, ["0+2 4+2 8+2", "2+2 6+2 10+2"]);
  assertEquals(chunks("h.0.attn.c_attn.weight", [8, 24], 4, 3).leaves, ["0+2 2+2 4+2"]);
});

Deno.test("sumChunksOf() takes the same half of parts of unequal widths", () => {
  const plan = { attn: { kind: "column", parts: [2, 1, 1], unit: 3 } } as const;
  const leaves = (size: number, index: number) =>
    sumChunksOf(plan, "attn.weight", [5, 24], { size, index })!.tree.leaves;
  const run = (start: number, length: number) => ({ start, length });
  assertEquals(leaves(1, 0), [[run(0, 6), run(12, 3), run(18, 3)], [run(6, 6), run(15, 3), run(21, 3)]]);
  for (const index of [0, 1]) assertEquals(leaves(2, index), [[run(0, 6), run(6, 3), run(9, 3)]]);
});

Deno.test("sumChunksOf() knows no chunks of what is never split", () => {
  for (const name of ["h.0.ln_1.weight", "wpe.weight", "h.0.attn.c_attn.bias"]) {
    assertEquals(
      sumChunksOf(PLAN, name, name.endsWith("bias") ? [24] : [8, 8], { size: 2, index: 0 }),
      undefined,
    );
  }
});

Deno.test("checkExactPlan() refuses unequal parts, and layers that would see some rows only", () => {
  const build = (name: string, outputs: number) => (scope: Scope) =>
    new Linear(scope.child(name), { inputs: 8, outputs });
  const plan = { up: { kind: "column" } } as const;
  checkExactPlan(plan, { tp: 4, sp: true }, build("up", 12));
  assertThrows(
    () => checkExactPlan(plan, { tp: 4, sp: false }, build("up", 6)),
    RangeError,
    "its 6 units must be a multiple of tp",
  );
  checkExactPlan(plan, { tp: 2, sp: false }, build("other", 6));
  assertThrows(
    () => checkExactPlan(plan, { tp: 2, sp: true }, build("other", 6)),
    RangeError,
    "the plan does not name other",
  );
});
