/** Whole runs: replicas that are right stay equal to the bit on every layout, and one flipped bit is found. */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Parameter } from "../../../nn/mod.ts";
import { hashParameters } from "../../../strategies/mod.ts";
import type { TrainOptions } from "../../../train/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../../train/support/runs.ts";
import { errorOfDrift } from "../../train/support/drift.ts";
import type { Drift } from "../../train/support/drift_program.ts";

const RECIPE = { batch: 8, steps: 4, checkReplicas: 2 } as const;

const LAYOUTS: TrainOptions[] = [
  { dp: 3 },
  { dp: 2, zero: 1, tp: 2, sp: true },
  { dp: 2, zero: 3, tp: 2 },
  { dp: 1, pp: 2, tp: 2, microBatch: 4 },
  { dp: 2, pp: 2, microBatch: 2, zero: 2 },
  { dp: 2, cp: 2, numerics: "exact" },
  { dp: 2, tp: 2, sp: true, precision: "bf16" },
  { dp: 2, ep: 2, experts: 4, context: 16 },
];

for (const layout of LAYOUTS) {
  Deno.test(`replicas hold the same bits through a run with ${JSON.stringify(layout)}`, () =>
    withTempDir(async (folder) => {
      const { model: _, ...rest } = await tinyGpt(folder),
        sizes = { layers: 1, heads: 2, embed: 8, context: 8 };
      await runToEnd({ ...rest, ...sizes, ...RECIPE, ...layout });
    }));
}

const FOUND: { layout: TrainOptions; drift: Drift; message: RegExp }[] = [
  {
    layout: { dp: 3 },
    drift: { rank: 2, step: 0, bucket: "layer h.0" },
    message: /after step 2 rank 2 of group data and ranks 0, 1 hold different values of h\.0\.ln_1\.weight/,
  },
  {
    layout: { dp: 1, tp: 2 },
    drift: { rank: 1, step: 3, bucket: "layer embedding" },
    message: /after step 4 rank 1 of group tp and rank 0 hold different values of wpe\.weight;/,
  },
  {
    layout: { dp: 2, zero: 3, tp: 2 },
    // Half of the positions, which rank 2 has, too; ranks 0 and 1 have the other half.
    drift: { rank: 3, step: 3, bucket: "layer embedding" },
    message:
      /rank (3 of group tp and rank 2|1 of group tp and rank 0) hold different values of wpe\.weight \(each/,
  },
  {
    layout: { dp: 1, pp: 2, microBatch: 4 },
    drift: { rank: 1, step: 3, bucket: "wte.weight" },
    message: /after step 4 rank 1 of group ends and rank 0 hold different values of wte\.weight;/,
  },
];

for (const { layout, drift, message } of FOUND) {
  Deno.test(`one flipped bit on rank ${drift.rank} of ${JSON.stringify(layout)} ends the run with its name`, () =>
    withTempDir(async (folder) => {
      const error = await errorOfDrift({ ...await tinyGpt(folder), ...RECIPE, ...layout }, drift);
      assertMatch(error.message, /ReplicaError: replicas have drifted apart: after step /);
      assertMatch(error.message, message);
      assertEquals(error.phase, "replica check");
    }));
}

Deno.test("hashParameters() is the same for any cut, and another for another bit, place or order", () => {
  const { heap } = makeBackend(), span = heap.allocate("x", 12, "parameters");
  const parameter = new Parameter({ name: "x", shape: [12], span });
  const values = heap.f32(span);
  values.forEach((_, i) => values[i] = Math.sin(i));
  const hash = (cuts: number[]) => {
    const pieces = cuts.map((start, i) => {
      const end = cuts[i + 1] ?? 12,
        part = { ...span, byteOffset: span.byteOffset + 4 * start, length: end - start };
      return { parameter, start, values: part };
    });
    return hashParameters(heap, pieces).get("x");
  };
  const whole = hash([0]);
  assertEquals([hash([0, 5]), hash([0, 1, 2, 11])], [whole, whole]);
  [values[3], values[4]] = [values[4], values[3]];
  assertNotEquals(hash([0]), whole);
  [values[3], values[4]] = [values[4], values[3]];
  assertEquals(hash([0]), whole);
  heap.i32(span)[7] ^= 1 << 31;
  assertNotEquals(hash([0]), whole);
});
