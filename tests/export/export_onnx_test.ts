import { assertEquals, assertRejects } from "@std/assert";
import { exportOnnx } from "../../export/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { checkExported } from "../support/exported_model.ts";
import { withTempDir } from "../support/temp_dir.ts";

const FOLDER = new URL("../golden/gpt2-tiny/init", import.meta.url).pathname;

Deno.test("exportOnnx() writes a model that onnxruntime computes as Tessera does, with weights inside and apart", async () => {
  await withTempDir(async (out) => {
    const file = `${out}/model.onnx`, cached = `${out}/cached.onnx`;
    const whole = await exportOnnx(FOLDER, file);
    assertEquals([whole.inputs, whole.outputs, whole.dataFile], [["input_ids"], ["logits"], undefined]);
    assertEquals([whole.opset, whole.irVersion, whole.weightBytes], [20, 9, 482304]);
    const { dataFile, inputs, outputs } = await exportOnnx(FOLDER, cached, {
      kvCache: true,
      externalAbove: 1000,
    });
    assertEquals(dataFile, `${cached}.data`);
    assertEquals(inputs.slice(0, 3), ["input_ids", "past_key_values.0.key", "past_key_values.0.value"]);
    assertEquals(outputs.slice(-1), ["present.1.value"]);
    await checkExported({ folder: FOLDER, file, cached, provider: "wasm" }, { numTokens: 16, bound: 1e-5 });
  });
});

Deno.test("exportOnnx() refuses a folder without a model", async () => {
  await assertRejects(() => exportOnnx("/nowhere", "/nowhere/model.onnx"), UsageError, "/nowhere");
});
