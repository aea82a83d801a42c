/** Documents that share a sample: each is trained on as if it had one to itself, whatever the layout. */
import { assert, assertEquals } from "@std/assert";
import { MASKED, type Samples } from "../../data/mod.ts";
import type { TrainOptions } from "../../train/mod.ts";
import { runToEnd } from "../train/support/runs.ts";

const CONTEXT = 16;
/** Tokens of documents that fill two samples of three each. */
const LENGTHS = [5, 1, 10, 8, 4, 4];
const DOCUMENTS = LENGTHS.map((length, d) =>
  Array.from({ length: length + 1 }, (_, i) => (7 * d + 3 * i * i + i) % 32)
);

interface Row {
  readonly inputs: number[];
  readonly targets: number[];
  readonly documents: number[];
}

/** Documents in one sample, one after the other, and nothing behind them. */
function rowOf(documents: readonly (readonly number[])[]): Row {
  const row: Row = { inputs: [], targets: [], documents: [] };
  for (const document of documents) {
    const start = row.inputs.length;
    row.inputs.push(...document.slice(0, -1));
    row.targets.push(...document.slice(1));
    row.documents.push(...document.slice(1).map(() => start));
  }
  while (row.inputs.length < CONTEXT) {
    row.documents.push(row.inputs.length);
    row.inputs.push(0);
    row.targets.push(MASKED);
  }
  return row;
}

function samplesOf(rows: readonly Row[], hasDocuments: boolean): Samples {
  return {
    inputs: Int32Array.from(rows.flatMap(({ inputs }) => inputs)),
    targets: Int32Array.from(rows.flatMap(({ targets }) => targets)),
    ...(hasDocuments && { documents: Int32Array.from(rows.flatMap(({ documents }) => documents)) }),
    ...{ inputShape: [CONTEXT], targetShape: [CONTEXT], numTrain: rows.length },
  };
}

const PACKED = samplesOf([rowOf(DOCUMENTS.slice(0, 3)), rowOf(DOCUMENTS.slice(3))], true);
const APART = samplesOf(DOCUMENTS.map((document) => rowOf([document])), false);

const SIZES = { layers: 2, heads: 2, embed: 32, context: CONTEXT, vocab: 32 };
const RECIPE = { ...SIZES, steps: 4, warmup: 1, lr: 3e-3, order: "sequential", evalEvery: 0 } as const;
const MODELS: Record<string, TrainOptions> = {
  gpt2: {},
  llama: { model: "llama", kvHeads: 1 },
  qwen3: { model: "qwen3", headDim: 8 },
};
const LAYOUTS: Record<string, TrainOptions> = {
  "one device": { dp: 1 },
  "dp 2": { dp: 2 },
  "tp 2, sp": { tp: 2, sp: true },
  "pp 2, full recompute": { pp: 2, microBatch: 1, recompute: "full" },
  "pp 2, zero-bubble": { pp: 2, microBatch: 1, schedule: "zero-bubble" },
};

for (const [family, model] of Object.entries(MODELS)) {
  Deno.test(`documents of a ${family} that share a sample have the losses of those that have one each`, async (t) => {
    const options = { ...RECIPE, ...model };
    const apart = await runToEnd({ ...options, data: APART, batch: APART.inputs.length / CONTEXT, dp: 1 });
    for (const [name, layout] of Object.entries(LAYOUTS)) {
      await t.step(name, async () => {
        const packed = await runToEnd({ ...options, data: PACKED, batch: 2, ...layout });
        packed.losses.forEach((loss, i) => {
          const error = Math.abs(loss - apart.losses[i]);
          assert(error < 2e-6, `loss of step ${i} is ${loss}, not ${apart.losses[i]}`);
        });
      });
    }
    await t.step("exact numerics have one hash", async () => {
      const exact = { ...options, data: PACKED, batch: 2, numerics: "exact" } as const;
      const hashes = [];
      for (const layout of [{ dp: 1 }, { dp: 1, tp: 2 }, { dp: 2, pp: 2, recompute: "full" }] as const) {
        hashes.push((await runToEnd({ ...exact, ...layout })).lossHash);
      }
      assertEquals(new Set(hashes).size, 1, `${hashes}`);
    });
    await t.step("without their bounds the losses are others", async () => {
      const mixed = await runToEnd({
        ...options,
        data: { ...PACKED, documents: undefined },
        batch: 2,
        dp: 1,
      });
      assert(Math.abs(mixed.losses.at(-1)! - apart.losses.at(-1)!) > 1e-4);
    });
  });
}
