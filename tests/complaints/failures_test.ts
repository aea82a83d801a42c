/** Complaints about hangs, dead devices and silent drift; see numbers_test.ts. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DeviceError, launch } from "../../actors/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { failureOf, start } from "../actors/support/world.ts";
import { within } from "../support/deadline.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { errorOfDrift } from "../train/support/drift.ts";
import type { Kill } from "../train/support/kill_program.ts";
import { runToEnd, tinyGpt } from "../train/support/runs.ts";

const BOUND_MS = 1000;

/** Trains with a rank that dies; the error, or how many operations it announced. */
async function runWithKill(options: TrainOptions, kill: Kill): Promise<DeviceError | number> {
  const { job, mesh } = await prepareTraining(options);
  const world = launch({
    program: import.meta.resolve("../train/support/kill_program.ts"),
    config: { job, kill },
    topology: mesh.topology(),
    deviceMemoryBytes: job.config.deviceMemoryBytes,
  });
  const results = await within(world.done.catch((error) => error));
  return Array.isArray(results) ? results[kill.rank] : results;
}

// 61: meta-pytorch/torchft#329; 62: horovod/horovod#3494, #2652, #3264
Deno.test('"one dead device hangs or ruins a run": killed at any operation, it is named, and a resume ends as planned', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), dp: 2, steps: 2, saveEvery: 1 };
    const whole = await runToEnd(options), out = (name: number) => `${folder}/${name}`;
    const numOperations = await runWithKill({ ...options, out: out(0) }, { rank: 1, operation: Infinity });
    assert(typeof numOperations === "number" && numOperations > 10, `${numOperations}`);
    let numResumed = 0;
    for (let operation = 0; operation < numOperations; operation++) {
      const saved = { ...options, out: out(operation + 1) }, rank = operation % 2;
      const error = await runWithKill(saved, { rank, operation });
      assert(error instanceof DeviceError, `operation ${operation}: ${error}`);
      const ms = performance.timeOrigin + performance.now() - Number(error.reason.slice("killed at ".length));
      assertEquals(error.rank, rank);
      assert(ms < BOUND_MS, `operation ${operation}: took ${ms} ms`);
      assertStringIncludes(String(error.errors.get(1 - rank)), `Rank ${rank} failed first: killed`);
      // Whoever dies after the first checkpoint can be gone on from; every second of them is enough.
      const names = await Array.fromAsync(Deno.readDir(saved.out)).catch(() => []);
      if (names.length === 0 || operation % 2 === 0) continue;
      numResumed++;
      assertEquals((await runToEnd({ ...saved, resume: saved.out })).lossHash, whole.lossHash);
    }
    assert(numResumed >= 3, `${numResumed} were resumed`);
  }));

// 2: deepspeedai/DeepSpeed#7044; 17: horovod/horovod#100, #2564
Deno.test('"a peer is missing and nobody says which": an error within a second names both sides', async () => {
  const { error, ms } = await failureOf(start(["barrier", "rank", "barrier"]));
  assertStringIncludes(
    error.message,
    "waits for rank 1 in barrier #2 of group all (the end), but rank 1 has finished",
  );
  assert(error.rank === 0 || error.rank === 2);
  assertStringIncludes(error.message, `rank ${error.rank} waits`);
  assert(ms < BOUND_MS, `took ${ms} ms`);
});

// 39: huggingface/nanotron#242
Deno.test('"replicas drift apart": a flipped bit ends the run at the next comparison, by parameter, step and rank', () =>
  withTempDir(async (folder) => {
    const options: TrainOptions = { ...await tinyGpt(folder), dp: 3, steps: 8, checkReplicas: 3 };
    const error = await errorOfDrift(options, { rank: 1, step: 3, bucket: "layer h.0" });
    assertEquals([error.step, error.phase], [6, "replica check"]);
    assertStringIncludes(
      error.message,
      "after step 6 rank 1 of group data and ranks 0, 2 hold different values",
    );
    assertStringIncludes(error.message, "h.0.ln_1.weight");
  }));
