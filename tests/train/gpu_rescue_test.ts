/** A run whose device loses what it computes on; onnxruntime's wasm backend stands for a GPU. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readTrainerState } from "../../checkpoint/mod.ts";
import { gpuFailure, prepareTraining, startTraining, type TrainOptions } from "../../train/mod.ts";
import { pool } from "../support/pool.ts";
import { withTempDir } from "../support/temp_dir.ts";

const SMALL = { layers: 1, embed: 16, heads: 2, context: 8, batch: 4, dp: 1, steps: 6, evalEvery: 0 };
const FAULT = { rank: 0, step: 4, phase: "forward", kind: "lose-gpu" } as const;

async function run(
  options: TrainOptions,
  mayFallBack = false,
): Promise<{ losses: number[]; events: string[] }> {
  const losses: number[] = [], events: string[] = [];
  const prepared = await prepareTraining({ ...SMALL, pool, ...options });
  const training = await startTraining({ ...prepared, mayFallBack });
  for await (const event of training.events()) {
    if (event.type === "step") losses.push(event.loss);
    else events.push(event.type === "notice" ? event.message : event.type);
  }
  return { losses, events };
}

Deno.test("a run that may fall back computes again from its newest checkpoint, and reports each step once", async () => {
  await withTempDir(async (out) => {
    const { losses: expected } = await run({ kernels: "wasm" });
    const { losses, events } = await run({ kernels: "onnx", out, saveEvery: 3, fault: FAULT }, true);
    assertEquals(losses.length, 6);
    losses.forEach((loss, i) =>
      assert(Math.abs(loss / expected[i] - 1) < 1e-5, `step ${i}: ${loss}, ${expected[i]}`)
    );
    const notice =
      "Device 0 failed in step 4: the GPU was lost; the run computes steps 3 to 3 again with wasm kernels";
    assertEquals(events, ["checkpoint", notice, "checkpoint", "done"]);
  });
});

Deno.test("a run that may not fall back saves its last finished step and fails with one line", async () => {
  await withTempDir(async (out) => {
    const lost = () => run({ kernels: "onnx", out, fault: FAULT });
    const { message } = await assertRejects(lost, Error, `saved ${out}/step-4, go on with --resume`);
    assertStringIncludes(message, "Device 0 failed in step 4: the GPU was lost; saved");
    const { step, losses } = await readTrainerState(`${out}/step-4`);
    assertEquals([step, losses.length], [4, 4]);
  });
});

Deno.test("a run without a folder just fails, and other failures are not for the rescue", async () => {
  await assertRejects(() => run({ kernels: "onnx", fault: FAULT }), Error, "GpuError: the GPU was lost");
  assertEquals(gpuFailure(new Error("GpuError: no device said this")), undefined);
  const thrown = () => run({ kernels: "wasm", fault: { ...FAULT, kind: "throw" } }, true);
  await assertRejects(thrown, Error, "planned failure");
});
