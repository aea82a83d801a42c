/** The golden run on the GPU: losses within 1e-3 of the expected ones (relative), gradient norms within 1 %. */
import { assert, assertEquals } from "@std/assert";
import { checkGolden, GOLDEN_PARAMETERS } from "../support/golden_run.ts";
import { gpuTest } from "./support/gpu_test.ts";

const BOUNDS = { loss: 1e-3, norm: 1e-2 };

gpuTest("train() on the GPU reproduces the golden run, and reads back three numbers a step", async () => {
  const steps = await checkGolden({ dp: 1, kernels: "webgpu" }, BOUNDS);
  // The loss, and for the norm the largest gradient and the sum of squares: float32 each.
  for (const { devices: [device] } of steps) assertEquals(device.bytesReadBack, 12);
});

gpuTest(
  "train() on two devices that share a GPU reproduces the golden run, and reads gradients back once",
  async () => {
    const steps = await checkGolden({ dp: 2, kernels: "webgpu" }, BOUNDS);
    for (const device of steps.flatMap(({ devices }) => devices)) {
      assertEquals(device.bytesReadBack, 4 * GOLDEN_PARAMETERS + 4);
    }
  },
);

gpuTest("train() with a pipeline of a wasm and a GPU stage reproduces the golden run", async () => {
  const steps = await checkGolden({ dp: 1, pp: 2, microBatch: 2, kernels: "wasm,webgpu" }, BOUNDS);
  for (const { devices: [wasm, gpu] } of steps) {
    assertEquals(wasm.bytesReadBack, undefined);
    // Gradients of activations, the shared table, and numbers; far less than all gradients of the stage.
    assert(gpu.bytesReadBack! < 4 * GOLDEN_PARAMETERS, `${gpu.bytesReadBack}`);
  }
});
