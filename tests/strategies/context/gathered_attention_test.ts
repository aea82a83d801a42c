/** Gathered attention of real workers against attention on one device: to the bit, in exact numerics. */
import { assertEquals } from "@std/assert";
import type { OpCase } from "../programs/attention_op.ts";
import { assemble, assertClose, gradientsByPart, runCases } from "../support/context_world.ts";

const SIZES: Omit<OpCase, "kind" | "cp">[] = [
  { batch: 2, tokens: 24, heads: 4, headDim: 5 },
  { batch: 2, tokens: 24, heads: 4, kvHeads: 1, headDim: 5 },
  { batch: 1, tokens: 240, heads: 4, kvHeads: 2, headDim: 8, uses: 2 },
  { batch: 2, tokens: 24, heads: 4, kvHeads: 2, headDim: 5, isSeparate: true },
  { batch: 2, tokens: 24, heads: 4, kvHeads: 2, headDim: 5, backend: "reference" },
];
const CASES = [2, 4].flatMap((cp) =>
  SIZES.map((sizes): OpCase => ({ ...sizes, cp, kind: "op", isExact: true }))
);

Deno.test("gatheredAttention() has the bits of attention on one device, forward and backward", async () => {
  for (const { test, ofRanks, ofOne } of await runCases(CASES)) {
    const { tokens, heads, kvHeads = heads, headDim, backend } = test, name = JSON.stringify(test);
    const whole = (values: (rank: typeof ofOne) => Float32Array, heads: number) =>
      assemble(ofRanks.map((rank) => ({ ...rank, values: values(rank) })), tokens, heads * headDim);
    assertEquals(whole(({ out }) => out, heads), ofOne.out, name);
    const want = gradientsByPart(test, ofOne.gradients);
    for (const [part, count] of [heads, kvHeads, kvHeads].entries()) {
      const got = whole(({ gradients }) => gradientsByPart(test, gradients)[part], count);
      // The oracle sums over queries in float64, so parts of a sum are rounded once more on each rank.
      if (backend === "reference") assertClose(name, got, want[part], 4 * 2 ** -24);
      else assertEquals(got, want[part], `${part} of ${name}`);
    }
  }
});
