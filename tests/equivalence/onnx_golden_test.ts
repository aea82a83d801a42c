/**
 * The graphs that a GPU runs, on the wasm backend of onnxruntime: they compute the golden run. Its sums are float32 in an
 * order of their own, so losses and norms are those of float32 within a few roundings more than ours.
 */
import { assert, assertEquals } from "@std/assert";
import { prepareTraining, startTraining } from "../../train/mod.ts";
import { checkGolden, GOLDEN_PARAMETERS } from "../support/golden_run.ts";
import { pool } from "../support/pool.ts";

const BOUNDS = { loss: 5e-6, norm: 5e-5 }, NUM_STEPS = 8; // The whole run is a test on the GPU.

Deno.test("train() reproduces the golden run with kernels onnx, and reads three numbers a step", async () => {
  const steps = await checkGolden({ dp: 1, kernels: "onnx" }, BOUNDS, NUM_STEPS);
  for (const { devices: [device] } of steps) assertEquals(device.bytesReadBack, 12);
});

Deno.test("train() reproduces the golden run with a wasm and an onnx replica and several micro-batches", async () => {
  const steps = await checkGolden({ dp: 2, microBatch: 2, kernels: "wasm,onnx" }, BOUNDS, NUM_STEPS);
  for (const { devices: [wasm, onnx] } of steps) {
    assertEquals([wasm.bytesReadBack, onnx.bytesReadBack], [undefined, 4 * GOLDEN_PARAMETERS + 8]);
  }
});

Deno.test("train() reproduces the golden run with a pipeline of a wasm and an onnx stage", async () => {
  await checkGolden({ dp: 1, pp: 2, microBatch: 2, kernels: "wasm,onnx" }, BOUNDS, NUM_STEPS);
});

Deno.test("evaluation with kernels onnx gives the losses of wasm", async () => {
  const evaluate = async (kernels: string) => {
    const options = {
      layers: 1,
      heads: 2,
      embed: 16,
      context: 16,
      batch: 4,
      microBatch: 1,
      steps: 4,
      evalEvery: 2,
    };
    const training = await startTraining(await prepareTraining({ ...options, pool, dp: 2, kernels })),
      losses: number[] = [];
    for await (const event of training.events()) if (event.type === "eval") losses.push(event.loss);
    return losses;
  };
  const [onnx, wasm] = [await evaluate("wasm,onnx"), await evaluate("wasm")];
  assertEquals(onnx.length, 2);
  onnx.forEach((loss, i) => assert(Math.abs(loss / wasm[i] - 1) < BOUNDS.loss, `${loss}, not ${wasm[i]}`));
});
