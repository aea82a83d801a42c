/** A second implementation of every dense family: onnxruntime, on the graph that is exported. */
import { exportOnnx } from "../../export/mod.ts";
import { checkExported } from "../support/exported_model.ts";
import { withTempDir } from "../support/temp_dir.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;

for (
  const name of [
    ...[
      "llama3_tied",
      "llama_linear_odd",
      "llama_yarn",
      "mistral_window",
      "qwen2",
      "qwen3",
      "gpt2_erf_untied",
    ],
  ]
) {
  Deno.test(`onnxruntime has the logits and the greedy tokens of ${name}, with a cache and without`, () =>
    withTempDir(async (out) => {
      const folder = `${GOLDEN}families/${name}/init`,
        file = `${out}/model.onnx`,
        cached = `${out}/cached.onnx`;
      await exportOnnx(folder, file);
      await exportOnnx(folder, cached, { kvCache: true });
      await checkExported({ folder, file, cached, provider: "wasm" }, { numTokens: 12, bound: 1e-5 });
    }));
}
