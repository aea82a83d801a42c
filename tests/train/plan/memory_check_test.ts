import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gpt } from "../../../models/mod.ts";
import { UsageError } from "../../../files/mod.ts";
import { largestRank, planTraining, prepareTraining, type TrainOptions } from "../../../train/mod.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../support/runs.ts";

const MODEL = gpt({ layers: 12, heads: 4, embed: 128, context: 8, vocab: 256 });

async function largeModel(folder: string): Promise<TrainOptions> {
  const sizes = { batch: 4, microBatch: 1, deviceMemory: "512MiB" };
  return { ...await tinyGpt(folder), model: MODEL, dp: 4, steps: 2, ...sizes };
}

Deno.test("a replica of 2.5 x the device memory is refused with what fits, and zero 3, tp 4 and pp 4 train it", () =>
  withTempDir(async (folder) => {
    const options = await largeModel(folder), { plan } = await prepareTraining(options);
    const { extentBytes, bytes } = largestRank(plan), deviceMemory = Math.floor(extentBytes / 2.5);
    const { message } = await assertRejects(() => prepareTraining({ ...options, deviceMemory }), UsageError);
    assertEquals(message.split("\n").length, 1);
    assertStringIncludes(message, "rank 0 of 4 needs");
    assertStringIncludes(message, `(parameters ${(bytes.parameters / 2 ** 20).toFixed(1)} MiB, gradients`);
    for (const fit of ["--zero 3 (", "--dp 1 --tp 4 --micro-batch 1 (", "--dp 1 --pp 4 --micro-batch 1 ("]) {
      assertStringIncludes(message, fit);
    }
    assert(!message.includes("--zero 1"), message);
    for (const changes of [{ zero: 3 }, { dp: 1, tp: 4 }, { dp: 1, pp: 4 }]) {
      const { losses, peaks } = await runToEnd({ ...options, ...changes, deviceMemory });
      assertEquals(losses.length, 2);
      assert(peaks.flat().every((peak) => peak <= deviceMemory));
    }
  }));

Deno.test("the smallest device memory that a plan names is enough, and a byte less is refused", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), dp: 2, steps: 1 };
    const { extentBytes } = largestRank((await prepareTraining(options)).plan);
    assertEquals((await runToEnd({ ...options, deviceMemory: extentBytes })).losses.length, 1);
    await assertRejects(() => prepareTraining({ ...options, deviceMemory: extentBytes - 1 }), UsageError);
  }));

Deno.test("where nothing on as many devices fits, the refusal says which memory would", () =>
  withTempDir(async (folder) => {
    const options = { ...await largeModel(folder), dp: 1, batch: 1, deviceMemory: "1MiB" };
    const { message } = await assertRejects(() => prepareTraining(options), UsageError);
    const [, needed] = /no other strategy on as many devices fits: use --device-memory (\d+MiB)/.exec(
      message,
    )!;
    await prepareTraining({ ...options, deviceMemory: needed });
    assertEquals((await planTraining(options)).prepared.plan.ranks.length, 1);
  }));
