import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gpt } from "../../../models/mod.ts";
import { UsageError } from "../../../files/mod.ts";
import { listCandidates, prepareTraining, type TrainOptions } from "../../../train/mod.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { tinyGpt } from "../support/runs.ts";

/** GPT-2's sizes. */
const SMALL = { layers: 12, heads: 12, embed: 768, context: 1024, vocab: 50257 };
const XL = { layers: 48, heads: 25, embed: 1600, context: 1024, vocab: 50257 };

/** Every run of options in a refusal that is said to fit, as a user would copy it. */
function adviceOf(message: string): TrainOptions[] {
  const [, advice] = /; (?:on as many devices these fit|.*this does|.*fits: use):? (.*)$/.exec(message)!;
  return advice.split(", ").map((layout) => {
    const pairs = [...layout.matchAll(/--([a-z-]+) (\S+)/g)].map(([, name, value]) => [name, value]);
    assert(pairs.length > 0, message);
    return Object.fromEntries(pairs);
  });
}

/**
 * GPT-2 small on its default batch was told to use --device-memory 6757MiB, which is refused, as a device has less than
 * 4 GiB; 4095MiB was repeated as 4GiB, which is refused, too; and a smaller micro-batch was never named.
 */
Deno.test("what a refusal at size advises is accepted as it stands", () =>
  withTempDir(async (folder) => {
    const cases: [sizes: typeof SMALL, options: TrainOptions, ...says: string[]][] = [
      [SMALL, { batch: 1, dp: 1 }, "with --device-memory 512MiB", "fits: use --device-memory 2711MiB"],
      [
        SMALL,
        { batch: 12, dp: 2, deviceMemory: "4095MiB" },
        "with --device-memory 4095MiB",
        "these fit: --micro-batch 2 (",
      ],
      [SMALL, { batch: 12, dp: 2 }, "--device-memory"],
      [SMALL, { batch: 8, dp: 1, deviceMemory: "4GiB" as string }, "must be a size"],
      [XL, { batch: 1, dp: 1, deviceMemory: "4095MiB" }, "nothing on as many devices fits; on 8 this does"],
      [SMALL, { batch: 8, dp: 2, tp: 2, deviceMemory: "512MiB" }, "with --device-memory 512MiB", "fits: use"],
    ];
    const data = `${folder}/text.txt`;
    await Deno.writeTextFile(data, "the white whale ".repeat(1000));
    for (const [sizes, options, ...says] of cases) {
      const given = { data, model: gpt(sizes), steps: 1, evalEvery: 0, ...options };
      const { message } = await assertRejects(() => prepareTraining(given), UsageError);
      for (const text of says) assertStringIncludes(message, text);
      assertEquals(message.split("\n").length, 1);
      if (says[0] === "must be a size") continue;
      for (const changes of adviceOf(message)) await prepareTraining({ ...given, ...changes });
    }
  }));

Deno.test("candidates keep the number of devices", () =>
  withTempDir(async (folder) => {
    const model = gpt({ layers: 12, heads: 4, embed: 128, context: 8, vocab: 256 });
    const options = { ...await tinyGpt(folder), model, batch: 4, microBatch: 1, deviceMemory: "512MiB" };
    const { job: { config } } = await prepareTraining({ ...options, dp: 2, tp: 2, zero: 1 });
    assertEquals(listCandidates(config), [
      { zero: 2 },
      { zero: 3 },
      { dp: 1, tp: 4, microBatch: 1 },
      { dp: 1, pp: 2, microBatch: 1 },
      { recompute: "full" },
    ]);
  }));
