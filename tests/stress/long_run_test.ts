import { assert, assertEquals } from "@std/assert";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../train/support/runs.ts";

Deno.test("5,000 steps: peak bytes constant after the second, on four devices with uneven batches", () =>
  withTempDir(async (folder) => {
    const options = { ...await tinyGpt(folder), mesh: { dp: 4 }, batch: 7, microBatch: 1 };
    const { peaks, losses } = await runToEnd({
      ...{ ...options, steps: 5000, evalEvery: 250, saveEvery: 1000, out: `${folder}/out` },
    });
    assertEquals(peaks.length, 5000);
    for (const [step, devices] of peaks.entries()) {
      if (step >= 2) assertEquals(devices, peaks[2], `step ${step}`);
    }
    assert(losses.at(-1)! < 2, `the loss ends at ${losses.at(-1)}`);
  }));
