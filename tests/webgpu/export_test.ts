/** A trained model of 4 layers, 128 wide, exported: the same logits and words from Tessera and from onnxruntime. */
import { assert, assertEquals } from "@std/assert";
import { exportOnnx } from "../../export/mod.ts";
import { prepareTraining, startTraining } from "../../train/mod.ts";
import { checkExported } from "../support/exported_model.ts";
import { gpuTest } from "./support/gpu_test.ts";

gpuTest(
  "exportOnnx() of a trained 4 x 128 model gives the same logits and 64 tokens on wasm and GPU",
  async () => {
    // Not `withTempDir`: on software that acts as a GPU this takes longer than its deadline.
    const out = await Deno.makeTempDir({ prefix: "tessera_" });
    try {
      const options = { out, context: 96, steps: 40, warmup: 10, evalEvery: 0 };
      const training = await startTraining(await prepareTraining(options));
      for await (const { loss } of training) assert(Number.isFinite(loss));
      const folder = (await training.result).checkpoint!,
        file = `${out}/model.onnx`,
        cached = `${out}/cached.onnx`;
      const { sizes } = await exportOnnx(folder, file);
      assertEquals([sizes.layers, sizes.embed], [4, 128]);
      await exportOnnx(folder, cached, { kvCache: true });
      for (const provider of ["wasm", "webgpu"] as const) {
        await checkExported({ folder, file, cached, provider }, { numTokens: 64, bound: 1e-4 });
      }
    } finally {
      await Deno.remove(out, { recursive: true });
    }
  },
);
