/** What happens without a GPU, and when it is lost in the middle of a run. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readTrainerState } from "../../checkpoint/mod.ts";
import { prepareTraining, startTraining, type TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { gpuTest } from "./support/gpu_test.ts";

const SMALL = { layers: 1, embed: 32, heads: 2, context: 16, batch: 4, dp: 1, steps: 6, evalEvery: 0 };
const FAULT = { rank: 0, step: 3, phase: "forward", kind: "lose-gpu" } as const;

/** `mayFallBack` is what `--kernels auto` sets on a machine with a GPU; software that acts as one it does not take. */
async function run(
  options: TrainOptions,
  mayFallBack = false,
): Promise<{ losses: number[]; notices: string[] }> {
  const losses: number[] = [], notices: string[] = [];
  const training = await startTraining({ ...await prepareTraining({ ...SMALL, ...options }), mayFallBack });
  for await (const event of training.events()) {
    if (event.type === "step") losses[event.step] = event.loss;
    if (event.type === "notice") notices.push(event.message);
  }
  return { losses, notices };
}

gpuTest(
  "a run that --kernels auto has put on the GPU goes on with wasm when the GPU is lost, on the same curve",
  async () => {
    const { losses: expected } = await run({ kernels: "wasm" });
    const { losses, notices } = await run({ kernels: "webgpu", fault: FAULT }, true);
    assertEquals(losses.length, expected.length);
    losses.forEach((loss, i) =>
      assert(Math.abs(loss / expected[i] - 1) < 1e-5, `step ${i}: ${loss}, ${expected[i]}`)
    );
    assertEquals(notices.length, 1);
    assertStringIncludes(notices[0], "Device 0 failed in step 3: the GPU was lost");
    assertStringIncludes(notices[0], "computes steps 0 to 2 again with wasm kernels");
  },
);

gpuTest("a run with --kernels webgpu saves its last finished step when the GPU is lost", async () => {
  await withTempDir(async (out) => {
    const lost = () => run({ kernels: "webgpu", fault: FAULT, out });
    await assertRejects(lost, Error, `the GPU was lost; saved ${out}/step-3, go on with --resume`);
    assertEquals((await readTrainerState(`${out}/step-3`)).step, 3);
  });
});
