import { assertEquals } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { type ByteTable, sumTable } from "../../kernels/mod.ts";
import { prepareTraining, type RankPlan, type StepRecord, type TrainOptions } from "../../train/mod.ts";
import { gpt } from "../../nn/mod.ts";
import { within } from "../support/deadline.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { tinyGpt } from "./support/runs.ts";

const SIZES = { layers: 4, heads: 4, embed: 16, context: 16 };

/** What the ranks of a run held at its end, and the records of its steps. */
async function measure(options: TrainOptions): Promise<{ bytes: ByteTable[]; steps: StepRecord[] }> {
  const { job, mesh } = await prepareTraining(options), steps: StepRecord[] = [];
  const world = launch({
    program: import.meta.resolve("./support/memory_program.ts"),
    config: job,
    topology: mesh.topology(),
    deviceMemoryBytes: job.config.deviceMemoryBytes,
    onReport: (_rank, event) => {
      if ((event as StepRecord).type === "step") steps.push(event as StepRecord);
    },
  });
  return { bytes: await within(world.done) as ByteTable[], steps };
}

async function plan(options: TrainOptions): Promise<readonly RankPlan[]> {
  return (await prepareTraining(options)).plan.ranks;
}

async function options(folder: string, more: TrainOptions): Promise<TrainOptions> {
  const tiny = await tinyGpt(folder);
  return {
    ...tiny,
    model: gpt({ ...SIZES, vocab: 256 }),
    steps: 2,
    evalEvery: 2,
    dp: 1,
    batch: 8,
    microBatch: 2,
    ...more,
  };
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
};

for (const [name, more] of Object.entries(LAYOUTS)) {
  Deno.test(`the plan of ${name} is what the run allocates and moves`, () =>
    withTempDir(async (folder) => {
      const given = await options(folder, more), ranks = await plan(given), run = await measure(given);
      for (const { rank, bytes, totalBytes, bytesMoved } of ranks) {
        assertEquals(bytes, run.bytes[rank], `rank ${rank}`);
        assertEquals(totalBytes, sumTable(bytes));
        for (const step of run.steps) assertEquals(step.devices[rank].bytesMoved, bytesMoved, `rank ${rank}`);
      }
    }));
}
