/**
 * Every strategy at the upper end of a device's memory has the bits of the same run at the lower end: losses, norms, and
 * each byte of a checkpoint that is saved there and resumed from. Kernels alone: tests/kernels/high_memory_test.ts.
 */
import { assertEquals } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { gpt } from "../../models/mod.ts";
import { prepareTraining, type TrainEvent, type TrainOptions, type TrainResult } from "../../train/mod.ts";
import { within } from "../support/deadline.ts";
import { HIGH_PLACES } from "../support/high_memory.ts";
import { pool } from "../support/pool.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { tinyGpt } from "../train/support/runs.ts";

const ROOM = 16 * 2 ** 20;
const PLACES = [...Object.values(HIGH_PLACES)];

/** Trains with rank r at `places[r]`, or at the lower end; returns what it reported, and its checkpoint's files. */
async function trainAt(places: readonly number[], options: TrainOptions) {
  const { job, mesh } = await prepareTraining(options), lines: unknown[] = [];
  const startBytes = Array.from({ length: mesh.size }, (_, i) => places[i % places.length]);
  const world = launch({
    program: import.meta.resolve("../support/high_program.ts"),
    config: { startBytes, job },
    topology: mesh.topology(),
    deviceMemoryBytes: Math.max(...places) + ROOM,
    onReport: (_rank, event) => {
      const { type, loss, gradNorm } = event as TrainEvent & { loss?: number; gradNorm?: number };
      lines.push([type, loss, gradNorm]);
    },
    pool,
  });
  const [{ checkpoint }] = await within(world.done) as TrainResult[];
  const files = ["model.safetensors", "optimizer.safetensors"].map((name) =>
    Deno.readFileSync(`${checkpoint}/${name}`)
  );
  return { lines, files, checkpoint: checkpoint! };
}

const LAYOUTS: Record<string, TrainOptions> = {
  "dp 2, zero 3, recompute": { dp: 2, zero: 3, recompute: "full" },
  "dp 2, zero 2, bf16": { dp: 2, zero: 2, precision: "bf16" },
  "tp 2, sp": { dp: 1, tp: 2, sp: true },
  "pp 2, exact": { dp: 1, pp: 2, microBatch: 1, numerics: "exact" },
  "cp 2": { dp: 1, cp: 2 },
  "tp 2, cp 2, exact": { dp: 1, tp: 2, cp: 2, numerics: "exact" },
  "ep 2": {
    dp: 1,
    ep: 2,
    experts: 4,
    topKExperts: 2,
    model: gpt({ layers: 1, heads: 2, embed: 8, context: 8, experts: 4, topKExperts: 2 }),
  },
};

for (const [name, layout] of Object.entries(LAYOUTS)) {
  Deno.test(`${name} above 2 GiB has the bits of ${name} at the lower end`, () =>
    withTempDir(async (folder) => {
      const common = { ...await tinyGpt(folder), evalEvery: 2, ...layout };
      const run = async (places: readonly number[], where: string) => {
        const first = await trainAt(places, { ...common, steps: 3, out: `${folder}/${where}` });
        const resume = { resume: first.checkpoint, steps: 4, out: `${folder}/${where}_more` };
        return [first, await trainAt(places, { ...common, ...resume })];
      };
      const low = await run([0], "low"), high = await run(PLACES, "high");
      for (const [i, { lines, files }] of high.entries()) {
        assertEquals(lines, low[i].lines);
        assertEquals(
          files.map((bytes, k) =>
            bytes.length === low[i].files[k].length && bytes.every((byte, j) => byte === low[i].files[k][j])
          ),
          [true, true],
        );
      }
    }));
}
