import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DeviceError } from "../../../actors/mod.ts";
import { prepareTraining, startTraining } from "../../../train/mod.ts";
import { naming } from "../../../train/step/save_error.ts";
import { within } from "../../support/deadline.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { tinyGpt } from "../support/runs.ts";

Deno.test("naming() says which file", async () => {
  const missing = () => naming("a/b", () => Deno.readFile("/nowhere/at/all"));
  await assertRejects(missing, Error, "Cannot write a/b: it does not exist");
  assertEquals(await naming("a/b", () => Promise.resolve(1)), 1);
});

Deno.test("a checkpoint that cannot be written names the file and the last one that could", () =>
  withTempDir(async (folder) => {
    const out = `${folder}/out`, options = { ...await tinyGpt(folder), mesh: { dp: 2 }, out, saveEvery: 2 };
    const training = await startTraining(await prepareTraining(options)), saved: number[] = [];
    const fail = async () => {
      for await (const event of training.events()) {
        if (event.type !== "checkpoint") continue;
        saved.push(event.step);
        if (event.step !== 2) continue;
        // As a disk that is taken away.
        await Deno.rename(out, `${out}_taken`);
        await Deno.writeTextFile(out, "");
      }
    };
    const error = await assertRejects(() => within(fail()), DeviceError);
    assertMatch(
      error.message,
      /Cannot write .*out\/step-(\d+): .*; the last checkpoint is .*out\/step-\d+: go on with --resume /,
    );
  }));
