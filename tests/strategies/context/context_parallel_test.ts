/**
 * GPTs on context groups of real workers against one device.
 *
 * Bounds: the same sums in another order. A sum of K terms is off by about eps sqrt(K) of their size, and a gradient went
 * through about 4 sums of that many for each layer: 4 x layers x eps x sqrt(K) of the largest value of its tensor,
 * with K = B T, the rows that a weight gradient sums.
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Fault } from "../../../actors/mod.ts";
import type { LayerHooks } from "../../../nn/mod.ts";
import { ContextParallel } from "../../../strategies/mod.ts";
import { failureOf } from "../../actors/support/world.ts";
import { EPS } from "../../conformance/backend_pair.ts";
import type { GptCase } from "../programs/context_parallel.ts";
import { fakeGroup } from "../support/fake_group.ts";
import { assemble, assertClose, runCases, startContext, sumParts } from "../support/context_world.ts";

const config = { layers: 2, heads: 2, embed: 8, context: 32, vocab: 29 };
const CASES: GptCase[] = [
  { kind: "gpt", cp: 2, batch: 3, tokens: 24, config },
  { kind: "gpt", cp: 2, batch: 3, tokens: 24, config, deferWeights: true },
  { kind: "gpt", cp: 2, batch: 3, tokens: 24, config, recompute: "full" },
  { kind: "gpt", cp: 3, batch: 1, tokens: 18, config },
  { kind: "gpt", cp: 4, batch: 2, tokens: 32, config },
  { kind: "gpt", cp: 2, tp: 2, batch: 3, tokens: 24, config },
  { kind: "gpt", cp: 2, tp: 2, batch: 3, tokens: 24, config, sequenceParallel: true },
];

Deno.test("a GPT on context groups, also with tensor groups, has the losses and gradients of one device", async () => {
  for (const { test, ofRanks, ofOne } of await runCases(CASES)) {
    const { cp, tp = 1, tokens, batch } = test, name = `cp ${cp}, tp ${tp}, T ${tokens}`;
    const bound = 4 * config.layers * EPS * Math.sqrt(batch * tokens);
    assertEquals(ofRanks.length, cp * tp);
    const passes = config.layers * 2 * (cp - 1) / cp * batch * tokens * config.embed * 4;
    // The ring of a layer that is computed again runs once more.
    const backward = test.recompute === "full" ? 3 * passes : 2 * passes;
    if (tp === 1) { for (const { bytes } of ofRanks) assertEquals(bytes, [passes, backward], name); }
    const losses = ofRanks.map(({ positions, out: values }) => ({ positions, values }));
    assertClose(`losses, ${name}`, assemble(losses, tokens, 1), ofOne.out, bound);
    ofOne.gradients.forEach(({ name: parameter, values }, i) => {
      const parts = ofRanks.map(({ gradients }) => gradients[i]);
      // Ranks of a tensor group hold the same of what is not split: one of them counts.
      const counted = parts[0].shard === undefined ? parts.filter((_, rank) => rank % tp === 0) : parts;
      assertClose(`${parameter}, ${name}`, sumParts(counted), values, bound);
    });
  }
});

Deno.test("ContextParallel keeps what the inner sharding says and gives attention a ring", () => {
  const shard = { dim: 0, runs: [{ start: 0, length: 2 }] }, input: LayerHooks["input"] = (_, x) => x;
  const inner = { shard: () => shard, hooks: () => ({ input }) };
  const two = new ContextParallel(fakeGroup(2, 1), inner), one = new ContextParallel(fakeGroup(), inner);
  assertEquals(two.shard("w", [4]), shard);
  assertEquals(two.hooks("h.0.attn")?.input, input);
  assert(two.hooks("h.0.attn")?.attend !== undefined && one.hooks("h.0.attn")?.attend === undefined);
  assertEquals([two.positions(8), one.positions(3)], [[2, 3, 4, 5], [0, 1, 2]]);
  assertThrows(() => two.positions(6), RangeError, "multiple of 2 x cp: cp is 2");
  const plain = new ContextParallel(fakeGroup(2));
  assertEquals([plain.shard("w", [4]), Object.keys(plain.hooks("h")!)], [undefined, ["attend"]]);
});

const ON_ALL = CASES.find(({ cp }) => cp === 4)!;
const FAULTS: Fault[] = [
  { rank: 0, step: 1, phase: "forward", kind: "throw" },
  { rank: 3, step: 2, phase: "backward", kind: "close" },
];
for (const fault of FAULTS) {
  Deno.test(`a rank that dies before its ${fault.phase} pass stops the others of the ring`, async () => {
    const world = startContext({ cases: [ON_ALL], steps: 4 }, { fault }),
      { error, ms } = await failureOf(world);
    assertEquals([error.rank, error.step, error.phase], [fault.rank, fault.step, fault.phase]);
    assert(ms < 2000, `took ${ms} ms`);
    for (const [rank, thrown] of error.errors) {
      if (rank !== fault.rank) assertStringIncludes(String(thrown), `Rank ${fault.rank} failed first`);
    }
    assertEquals(error.errors.size >= 3, true);
  });
}
