import { assert, assertEquals } from "@std/assert";
import { CATEGORIES, sumTable } from "../../../kernels/mod.ts";
import { gpt } from "../../../models/mod.ts";
import type { TrainOptions } from "../../../train/mod.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { measureRun } from "../support/measured_run.ts";
import { tinyGpt } from "../support/runs.ts";

const SIZES = { layers: 4, heads: 4, embed: 16, context: 16, vocab: 256 };
const MIXTURE = { ...SIZES, layers: 2, experts: 4, topKExperts: 2, capacityFactor: 1.25 };

async function withData(folder: string, more: TrainOptions): Promise<TrainOptions> {
  const tiny = await tinyGpt(folder), sizes = { batch: 8, microBatch: 2 };
  return { ...tiny, model: gpt(SIZES), steps: 2, evalEvery: 2, dp: 1, ...sizes, ...more };
}

const LAYOUTS: Record<string, TrainOptions> = {
  "one device, micro-batches": {},
  "dp 3, uneven batch": { dp: 3, batch: 7, microBatch: 2 },
  "dp 2, zero 1": { dp: 2, zero: 1 },
  "dp 2, zero 2": { dp: 2, zero: 2 },
  "dp 3, zero 3": { dp: 3, zero: 3, batch: 9, microBatch: 3 },
  "tp 2": { tp: 2 },
  "tp 4, sp": { tp: 4, sp: true },
  "pp 2, gpipe": { pp: 2, schedule: "gpipe" },
  "pp 3, 1f1b": { pp: 3, schedule: "1f1b" },
  "pp 2, interleaved, uneven batch": { pp: 2, schedule: "interleaved", batch: 7, microBatch: 2 },
  "pp 2, zero-bubble": { pp: 2, schedule: "zero-bubble" },
  "dp 2, pp 2, tp 2, sp, zero 1": { dp: 2, pp: 2, tp: 2, sp: true, zero: 1, batch: 8 },
  "dp 2, recompute selective": { dp: 2, recompute: "selective" },
  "pp 2, recompute full": { pp: 2, recompute: "full" },
  "cp 2, dp 2": { cp: 2, dp: 2 },
  "ep 2, dp 2": { ep: 2, dp: 2, model: gpt(MIXTURE) },
  "exact, dp 2, zero 1, micro-batches": { numerics: "exact", dp: 2, zero: 1, microBatch: 1 },
  "exact, tp 2, sp": { numerics: "exact", tp: 2, sp: true },
  "exact, cp 2, zero 3": { numerics: "exact", cp: 2, dp: 2, zero: 3, microBatch: 1 },
  "exact, ep 2": { numerics: "exact", ep: 2, model: gpt(MIXTURE) },
  "reference kernels": { kernels: "reference", batch: 2, microBatch: 1, model: gpt({ ...SIZES, layers: 1 }) },
};

/** Every layout in both precisions; exact numerics are those of float32. */
const RUNS = Object.entries(LAYOUTS).flatMap(([name, more]): [string, TrainOptions][] =>
  more.numerics === "exact"
    ? [[name, more]]
    : [[name, more], [`${name}, bf16`, { ...more, precision: "bf16" }]]
);

for (const [name, more] of RUNS) {
  Deno.test(`the plan of ${name} is what the run allocates and moves, to the byte`, () =>
    withTempDir(async (folder) => {
      const { plan, bytes, steps } = await measureRun(await withData(folder, more));
      assertEquals(steps.length, 2);
      for (const { rank, bytes: planned, totalBytes, bytesMoved } of plan.ranks) {
        assertEquals(planned, bytes[rank], `rank ${rank}`);
        assertEquals(totalBytes, sumTable(planned));
        for (const { devices } of steps) assertEquals(devices[rank].bytesMoved, bytesMoved, `rank ${rank}`);
      }
    }));
}

/** Floats of the parameters of a GPT. */
function countParameters({ layers, embed, context, vocab }: typeof SIZES): number {
  return (vocab + context) * embed + layers * (12 * embed ** 2 + 13 * embed) + 2 * embed;
}

/**
 * What all ranks of a run moved in a step, without the 20 bytes that each reads of each other for the gradient norm.
 * Chunks of a rank are whole lines, so a formula holds to the byte for the sum over the ranks.
 */
async function movedByAll(more: TrainOptions): Promise<number> {
  return await withTempDir(async (folder) => {
    const { steps } = await measureRun(await withData(folder, { ...more, evalEvery: 0 }));
    const moved = steps.map(({ devices }) => devices.reduce((sum, { bytesMoved }) => sum + bytesMoved, 0));
    assertEquals(moved[1], moved[0]);
    const n = steps[0].devices.length;
    return moved[0] - 20 * n * (n - 1);
  });
}

const MODEL = { ...SIZES, layers: 2, embed: 64 }, P = 4 * countParameters(MODEL), model = gpt(MODEL);

Deno.test("data parallel moves 2 (n-1)/n of the gradients per rank, small buckets n - 1 times", async () => {
  assertEquals(await movedByAll({ model, dp: 2, microBatch: 4 }), 2 * P);
  // Of three ranks a bucket of up to 8 KiB is read whole from both others: positions, last norm.
  const small = 4 * (MODEL.context * MODEL.embed + 2 * MODEL.embed);
  const moved = await movedByAll({ model, dp: 3, batch: 9, microBatch: 3 });
  assertEquals(moved, 2 * 2 * (P - small) + 3 * 2 * small);
});

Deno.test("zero 1 moves as much, zero 2 its first half per micro-batch, zero 3 3 P (n-1)/n per micro-batch", async () => {
  assertEquals(await movedByAll({ model, dp: 3, zero: 1, batch: 9, microBatch: 3 }), 2 * 2 * P);
  assertEquals(await movedByAll({ model, dp: 2, zero: 2, microBatch: 2 }), (2 + 1) * P);
  assertEquals(await movedByAll({ model, dp: 3, zero: 3, batch: 9, microBatch: 3 }), 3 * 2 * P);
  assertEquals(await movedByAll({ model, dp: 2, zero: 3, microBatch: 2 }), 2 * 3 * P);
});

Deno.test("tensor parallel moves four all-reduces of [B, T, C] per block, and one each for table and head", async () => {
  const { layers, context, embed } = MODEL, tokens = 8 * context, n = 2;
  // The loss: the maximum, the sum and the target's logit of every row.
  const floats = (4 * layers + 2) * tokens * embed + 3 * tokens;
  assertEquals(await movedByAll({ model, tp: n, microBatch: 8 }), 2 * (n - 1) * 4 * floats);
});

Deno.test("a pipeline moves activations and gradients over each boundary, and sums the tied table", async () => {
  const { context, embed, vocab } = MODEL, p = 3, handoffs = 2 * (p - 1) * 8 * context * embed;
  const table = 2 * (2 - 1) * vocab * embed;
  for (const schedule of ["gpipe", "1f1b", "zero-bubble"]) {
    assertEquals(await movedByAll({ model, pp: p, schedule }), 4 * (handoffs + table), schedule);
  }
});

Deno.test("bf16 halves parameters, gradients, activations and what moves; the optimizer keeps masters", () =>
  withTempDir(async (folder) => {
    // One after the other: they share the text that they train on, which `withData` writes.
    const planOf = async (precision: "f32" | "bf16") => {
      const more = { dp: 2, precision, model: gpt({ ...SIZES, embed: 64 }) };
      return (await measureRun(await withData(folder, more))).plan.ranks[0];
    };
    const wide = await planOf("f32"), half = await planOf("bf16");
    assertEquals([2 * half.bytes.parameters, 2 * half.bytes.gradients], [
      wide.bytes.parameters,
      wide.bytes.gradients,
    ]);
    assertEquals(2 * half.bytes.optimizer, 3 * wide.bytes.optimizer);
    // Row statistics, losses and ids stay as they are: 4 bytes for each row.
    const ratio = half.bytes.activations / wide.bytes.activations;
    assert(ratio >= 0.5 && ratio < 0.53, `activations shrank to ${ratio}`);
    assert(
      Math.abs(half.bytesMoved / wide.bytesMoved - 0.5) < 0.01,
      `${half.bytesMoved} of ${wide.bytesMoved}`,
    );
  }));

Deno.test("a plan holds bytes in every category but the cache of inference, and one device has no bubble", () =>
  withTempDir(async (folder) => {
    const options = await withData(folder, {}), { plan } = await measureRun({ ...options, steps: 1 });
    for (const category of CATEGORIES) {
      assertEquals(plan.ranks[0].bytes[category] > 0, category !== "cache", category);
    }
    assertEquals(plan.bubble, 0);
  }));
