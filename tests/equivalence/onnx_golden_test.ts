/**
 * The graphs that a GPU runs, on the wasm backend of onnxruntime: they compute the golden run. Its sums are float32 in an
 * order of their own, so losses and norms are those of float32 within a few roundings more than ours.
 */
import { assertEquals } from "@std/assert";
import { checkGolden, GOLDEN_PARAMETERS } from "../support/golden_run.ts";

const BOUNDS = { loss: 5e-6, norm: 5e-5 }, NUM_STEPS = 8; // The whole run is a test on the GPU.

Deno.test("train() reproduces the golden run with kernels onnx, and reads three numbers a step", async () => {
  const steps = await checkGolden({ dp: 1, kernels: "onnx" }, BOUNDS, NUM_STEPS);
  for (const { devices: [device] } of steps) assertEquals(device.bytesReadBack, 12);
});

Deno.test("train() reproduces the golden run with a wasm and an onnx replica and several micro-batches", async () => {
  const steps = await checkGolden({ dp: 2, microBatch: 2, steps: 6, kernels: "wasm,onnx" }, {
    loss: 1e-2,
    norm: 1,
  });
  for (const { devices: [wasm, onnx] } of steps) {
    assertEquals([wasm.bytesReadBack, onnx.bytesReadBack], [undefined, 4 * GOLDEN_PARAMETERS + 8]);
  }
});

Deno.test("train() reproduces the golden run with a pipeline of a wasm and an onnx stage", async () => {
  await checkGolden({ dp: 1, pp: 2, microBatch: 2, kernels: "wasm,onnx" }, BOUNDS, NUM_STEPS);
});
