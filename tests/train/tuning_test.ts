import { assert, assertEquals, assertRejects } from "@std/assert";
import { readSafetensors, UsageError } from "../../files/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { sumTable } from "../../kernels/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { measureRun } from "./support/measured_run.ts";
import { runToEnd } from "./support/runs.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const LLAMA = `${GOLDEN}llama-tiny/init`, DATA = `${GOLDEN}llama-tiny/tokens.bin`;
const OPTIONS: TrainOptions = {
  ...{
    init: LLAMA,
    data: DATA,
    batch: 4,
    steps: 3,
    warmup: 1,
    lr: 1e-3,
    order: "sequential",
    evalEvery: 0,
    dp: 1,
  },
};
const LORA = { loraRank: 3, loraTargets: "q_proj,o_proj,down_proj" };

Deno.test("--train trains what the pattern finds and nothing else, on every layout the same", async (t) => {
  await withTempDir(async (folder) => {
    const options = { ...OPTIONS, train: "layers.1.mlp|lm_head" };
    const one = await runToEnd({ ...options, out: `${folder}/one` });
    const before = await readSafetensors(`${LLAMA}/model.safetensors`);
    for (const [name, { data }] of await readSafetensors(`${folder}/one/step-3/model.safetensors`)) {
      const isSame = data.every((value, i) => value === before.get(name)!.data[i]);
      assertEquals(isSame, !/layers\.1\.mlp|lm_head/.test(name), name);
    }
    for (
      const layout of [{ dp: 2, zero: 3 }, { tp: 2, sp: true }, { pp: 2, microBatch: 2 }, {
        dp: 2,
        zero: 2,
        recompute: "full",
      }] as const
    ) {
      await t.step(JSON.stringify(layout), async () => {
        const out = `${folder}/${JSON.stringify(layout)}`;
        const run = await runToEnd({ ...options, ...layout, out });
        run.losses.forEach((loss, i) => assert(Math.abs(loss - one.losses[i]) < 2e-6, `${loss} at ${i}`));
        for (const [name, { data }] of await readSafetensors(`${out}/step-3/model.safetensors`)) {
          if (/layers\.1\.mlp|lm_head/.test(name)) continue;
          assert(data.every((value, i) => value === before.get(name)!.data[i]), name);
        }
      });
    }
    await t.step("and goes on so", async () => {
      const resumed = await runToEnd({
        data: DATA,
        resume: `${folder}/one`,
        steps: 5,
        dp: 1,
        out: `${folder}/more`,
      });
      const after = await readSafetensors(`${folder}/more/step-5/model.safetensors`);
      assertEquals(resumed.losses.length, 2);
      assertEquals(after.get("model.norm.weight")!.data, before.get("model.norm.weight")!.data);
    });
  });
});

const LAYOUTS: Record<string, TrainOptions> = {
  "one device": {},
  "dp 2": { dp: 2 },
  "dp 2, zero 3": { dp: 2, zero: 3 },
  "tp 2, sp": { tp: 2, sp: true },
  "pp 2": { pp: 2, microBatch: 2 },
  "bf16": { precision: "bf16" },
  "exact, dp 2, tp 2": { dp: 2, tp: 2, numerics: "exact" },
};

for (const [name, layout] of Object.entries(LAYOUTS)) {
  Deno.test(`adapters have gradients and moments, the frozen model has none, and the plan says so: ${name}`, async () => {
    const { plan, bytes, steps } = await measureRun({ ...OPTIONS, ...LORA, steps: 2, ...layout });
    for (const { rank, bytes: planned, totalBytes, bytesMoved } of plan.ranks) {
      assertEquals(planned, bytes[rank], `rank ${rank}`);
      assertEquals(totalBytes, sumTable(planned));
      for (const { devices } of steps) assertEquals(devices[rank].bytesMoved, bytesMoved, `rank ${rank}`);
      assert(planned.gradients > 0 && planned.gradients < planned.parameters / 10, `${planned.gradients}`);
      assert(planned.optimizer < planned.parameters / 4, `${planned.optimizer}`);
    }
  });
}

Deno.test("what cannot be tuned is refused in one line", async () => {
  const cases: [TrainOptions, string][] = [
    [{ loraRank: 2, init: undefined }, "Cannot use --lora-rank: there is no model to tune; give --init DIR"],
    [{ loraRank: 2, train: "x" }, "Cannot use --lora-rank with --train: a run trains one of them"],
    [{ loraAlpha: 2 }, "Cannot use --lora-alpha: it is one of new adapters; give --lora-rank"],
    [
      { loraRank: 2, loraTargets: "query" },
      'Cannot adapt "query": the model has no such linear layer; it has q_proj',
    ],
    [
      { train: "nothing" },
      'Cannot use --train "nothing": it is found in no parameter\'s name; they are model.embed',
    ],
    [{ train: "(" }, 'Cannot use --train "(": it is no regular expression'],
    [{ loraRank: 2, kernels: "onnx" }, "Cannot use --lora-rank 2 with --kernels onnx"],
  ];
  for (const [options, text] of cases) {
    await assertRejects(() => prepareTraining({ ...OPTIONS, ...options }), UsageError, text);
  }
});
