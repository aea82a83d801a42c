/** What takes long without being a stall: writing a checkpoint, and a reader of the output that takes a break. */
import { assertEquals, assertRejects } from "@std/assert";
import { DeviceError, launch } from "../../actors/mod.ts";
import { prepareTraining, startTraining, UNTIMED_PHASES } from "../../train/mod.ts";
import { within } from "../support/deadline.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { tinyGpt } from "./support/runs.ts";

/** Much less than a checkpoint takes here. */
const STALL_MS = 400;

Deno.test("ranks that wait for one that writes a checkpoint are not stalled, but those of a hung rank are", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), mesh: { dp: 3 }, out: `${folder}/out` };
    const { job, mesh } = await prepareTraining(options);
    const run = (untimedPhases: readonly string[]) =>
      within(
        launch({
          program: new URL("./support/slow_writer.ts", import.meta.url).href,
          config: job,
          topology: mesh.topology(),
          deviceMemoryBytes: 2 ** 20,
          wait: { stallTimeoutMs: STALL_MS, untimedPhases },
        }).done,
      );
    assertEquals((await run(UNTIMED_PHASES))[0], `${folder}/out/step-1`);
    const error = await assertRejects(() => run([]), DeviceError);
    assertEquals(error.message.includes("Stalled"), true);
  }));

Deno.test("a run whose reader takes a break goes on when it comes back", () =>
  withTempDir(async (folder) => {
    const prepared = await prepareTraining({ ...await tinyGpt(folder), mesh: { dp: 2 }, steps: 150 });
    const training = await startTraining({ ...prepared, wait: { stallTimeoutMs: STALL_MS } });
    // The events that are kept are soon too many, and the first rank is held back.
    await new Promise((resolve) => setTimeout(resolve, 4 * STALL_MS));
    const steps = await within(Array.fromAsync(training));
    assertEquals(steps.length, 150);
  }));
