import { assert, assertEquals } from "@std/assert";
import { Parameter } from "../../../nn/mod.ts";
import { storedPieces, updatedPieces } from "../../../strategies/data/bucket.ts";
import { allocateBuckets } from "../../../strategies/data/bucket_memory.ts";
import { gptLayers } from "../../../models/mod.ts";
import { planBuckets, ZERO_STAGES, type ZeroStage } from "../../../strategies/mod.ts";
import { fakeGroup } from "../support/fake_group.ts";
import { makeBackend } from "../../support/device.ts";

const LAYERS = gptLayers({ layers: 2, heads: 1, embed: 5, context: 3, vocab: 7 });
const PLANS = planBuckets(LAYERS, LAYERS, undefined).buckets;

function makeBuckets(size: number, index: number, stage: ZeroStage) {
  const backend = makeBackend();
  const buckets = allocateBuckets(PLANS, {
    backend,
    group: fakeGroup(size, index),
    zero: ZERO_STAGES[stage],
  });
  for (const { plan, parameters, values } of buckets) {
    for (const { name, length } of plan.entries) {
      parameters.push(new Parameter({ name, shape: [length], span: values }));
    }
  }
  return { backend, buckets };
}

Deno.test("the chunks of all ranks hold every element of every parameter once", () => {
  for (const size of [1, 2, 3, 4]) {
    const seen = new Map<string, number[]>();
    for (let index = 0; index < size; index++) {
      for (
        const piece of makeBuckets(size, index, 3).buckets.flatMap((bucket) => storedPieces(bucket, true))
      ) {
        const { name, span: _span, shape } = piece.parameter,
          counts = seen.get(name) ?? new Array(shape[0]).fill(0);
        for (let i = 0; i < piece.values.length; i++) counts[piece.start + i]++;
        seen.set(name, counts);
      }
    }
    assertEquals(seen.size, PLANS.flatMap(({ entries }) => entries).length);
    for (const [name, counts] of seen) {
      assert(counts.every((count) => count === 1), `${name} on ${size} ranks`);
    }
  }
});

Deno.test("a higher ZeRO stage keeps fewer bytes, in the categories it shares out", () => {
  const used = ([0, 1, 2, 3] as const).map((stage) => makeBuckets(4, 1, stage).backend.heap.usedBytes());
  assertEquals(used[0], used[1]);
  assertEquals(used[2].parameters, used[0].parameters);
  assert(used[2].gradients < used[0].gradients / 3 && used[2].buffers > used[0].buffers);
  assert(used[3].parameters < used[0].parameters / 3);
});

Deno.test("updatedPieces() puts values and gradients of a run at the same place", () => {
  for (const stage of [0, 1, 2, 3] as const) {
    for (const bucket of makeBuckets(3, 1, stage).buckets) {
      for (const { values, gradient } of updatedPieces(bucket, true)) {
        assertEquals(values.length, gradient.length);
      }
    }
  }
});
