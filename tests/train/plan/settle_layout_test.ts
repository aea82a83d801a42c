import { assert, assertEquals, assertRejects } from "@std/assert";
import { gpt, loadModel } from "../../../models/mod.ts";
import { openSource } from "../../../data/mod.ts";
import { UsageError } from "../../../files/mod.ts";
import { resolveConfig, settleLayout } from "../../../train/mod.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../support/runs.ts";
import { tokenData } from "../../support/token_data.ts";

const SIZES = { layers: 4, heads: 2, embed: 8, context: 8, vocab: 256 };

/** Settles a layout of a GPT of six layers whose times are given. */
async function settle(options: Record<string, number | string>, times: number[]) {
  const parts = await loadModel(gpt(SIZES)), given = { ...SIZES, dp: 1, microBatch: 2, ...options };
  const config = resolveConfig(given, { numCores: 4 });
  const data = tokenData(new Uint16Array(100), { context: 8 });
  let numMeasured = 0;
  const measure = () => {
    numMeasured++;
    return times;
  };
  const settled = await settleLayout(parts, openSource(data, config), config, measure);
  return { partition: settled.config.partition, times: settled.layerTimes, numMeasured };
}

Deno.test("settleLayout() balances stages by measured times", async () => {
  const times = [1, 2, 2, 2, 2, 5];
  assertEquals(await settle({ pp: 2, partition: "measured" }, times), {
    partition: "4,2",
    times,
    numMeasured: 1,
  });
  assertEquals((await settle({ pp: 3, partition: "measured" }, times)).partition, "3,2,1");
  const interleaved = { pp: 2, partition: "measured", schedule: "interleaved", batch: 8 };
  assertEquals((await settle(interleaved, times)).partition, "2,1,2,1");
});

Deno.test("settleLayout() measures nothing unless stages are to be balanced, or if the layout is refused", async () => {
  for (const options of [{ pp: 2, partition: "parameters" }, { pp: 1, partition: "measured" }]) {
    const { partition, numMeasured } = await settle(options, []);
    assertEquals([partition, numMeasured], [options.partition, 0]);
  }
  await assertRejects(
    () => settle({ pp: 7, partition: "measured" }, []),
    UsageError,
    "6 layers over 7 stages",
  );
});

Deno.test("a run with measured stages has the loss of one device", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), model: gpt(SIZES), microBatch: 2, steps: 3, dp: 1 };
    const { losses } = await runToEnd({ ...options, pp: 2, partition: "measured" }),
      one = await runToEnd(options);
    losses.forEach((loss, i) => assert(Math.abs(loss - one.losses[i]) <= 5e-6, `step ${i}: ${loss}`));
  }));
