import { assertEquals } from "@std/assert";
import type { Group } from "../../../collectives/mod.ts";
import { type Span, subspan } from "../../../kernels/mod.ts";
import { gptLayers } from "../../../models/mod.ts";
import { Parameter } from "../../../nn/mod.ts";
import {
  allocateBuckets,
  type Bucket,
  P_OS,
  P_OS_G,
  P_OS_G_P,
  planBuckets,
  REPLICATE,
  storedPieces,
  updatedPieces,
  ZERO_STAGES,
  type ZeroPolicy,
} from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

const LAYERS = gptLayers({ layers: 2, heads: 1, embed: 128, context: 4, vocab: 8 });
/** Two blocks, whose chunks on four ranks are whole lines: nothing is rounded. */
const PLANS = planBuckets(LAYERS, LAYERS, undefined).buckets.filter(({ name }) =>
  name.startsWith("layer h.")
);
const TOTAL = PLANS.reduce((sum, { length }) => sum + length, 0);

/** Member 1 of 4. */
function bucketsOf(zero: ZeroPolicy, own: Partial<Group> = {}) {
  const backend = makeBackend(), { heap } = backend;
  const buckets = allocateBuckets(PLANS, { backend, group: fakeGroup(4, 1, own), zero });
  for (const { plan, parameters, values } of buckets) {
    for (const { name, length } of plan.entries) {
      parameters.push(new Parameter({ name, shape: [length], span: values }));
    }
  }
  return { buckets, heap };
}

/** What a span is of its bucket; a chunk of the whole is not one that has memory of its own. */
function nameOf({ gradients, ownGradients, chunk }: Bucket, span: Span): string {
  const places = { whole: gradients, "part of the whole": subspan(gradients, chunk.start, chunk.length) };
  const found = Object.entries({ ...places, "own chunk": ownGradients });
  return found.find(([, { byteOffset, length }]) =>
    byteOffset === span.byteOffset && length === span.length
  )![0];
}

function describe(zero: ZeroPolicy) {
  const calls: string[] = [], done = fakeGroup().startBarrier();
  const { buckets, heap } = bucketsOf(zero, {
    startAllReduce: (span) => {
      calls.push(`all-reduce to the ${nameOf(buckets[0], span)}`);
      return done;
    },
    startReduceScatter: (_, output) => {
      calls.push(`reduce-scatter to the ${nameOf(buckets[0], output)}`);
      return done;
    },
  });
  zero.startReduction(buckets[0], "gradients");
  const lengthOf = (pieces: readonly { readonly values: Span }[]) =>
    pieces.reduce((sum, { values }) => sum + values.length, 0) / TOTAL;
  const { parameters, gradients } = heap.usedBytes();
  return {
    name: zero.name,
    reduction: calls.join(),
    reduced: nameOf(buckets[0], zero.reduced(buckets[0])),
    accumulated: nameOf(buckets[0], zero.accumulated(buckets[0])),
    summed: nameOf(buckets[0], zero.summed(buckets[0])),
    gathersUpdates: zero.gathersUpdates,
    bytesPerParameter: [parameters / TOTAL, gradients / TOTAL],
    updated: lengthOf(buckets.flatMap((bucket) => updatedPieces(bucket, zero.shardsOptimizer))),
    kept: lengthOf(buckets.flatMap((bucket) => storedPieces(bucket, zero.shardsParameters))),
  };
}

Deno.test("the policies are the columns of the paper's figure 1, on rank 1 of 4", () => {
  const chunked = {
    reduction: "reduce-scatter to the part of the whole",
    reduced: "part of the whole",
    updated: 1 / 4,
  };
  assertEquals([REPLICATE, P_OS, P_OS_G, P_OS_G_P].map(describe), [
    {
      ...{ name: "baseline", reduction: "all-reduce to the whole", reduced: "whole" },
      ...{ accumulated: "whole", summed: "whole", gathersUpdates: false },
      ...{ bytesPerParameter: [4, 4], updated: 1, kept: 1 },
    },
    {
      ...{ ...chunked, name: "P_os", accumulated: "whole", summed: "part of the whole" },
      ...{ gathersUpdates: true, bytesPerParameter: [4, 4], kept: 1 },
    },
    {
      ...{ ...chunked, name: "P_os+g", accumulated: "own chunk", summed: "own chunk" },
      ...{ gathersUpdates: true, bytesPerParameter: [4, 1], kept: 1 },
    },
    {
      ...{ ...chunked, name: "P_os+g+p", accumulated: "own chunk", summed: "own chunk" },
      ...{ gathersUpdates: false, bytesPerParameter: [1, 1], kept: 1 / 4 },
    },
  ]);
});

Deno.test("stages 0 to 3 are the policies in the paper's order, each of which shards what the one before does", () => {
  assertEquals([0, 1, 2, 3].map((stage) => ZERO_STAGES[stage as 0].name), [
    ...["baseline", "P_os", "P_os+g", "P_os+g+p"],
  ]);
  const sharded = ([0, 1, 2, 3] as const).map((stage) => {
    const { shardsOptimizer, shardsGradients, shardsParameters } = ZERO_STAGES[stage];
    return [shardsOptimizer, shardsGradients, shardsParameters].map(Number);
  });
  assertEquals(sharded, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]);
});
