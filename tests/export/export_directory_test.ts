import { assert, assertEquals, assertRejects } from "@std/assert";
import { exportDirectory } from "../../export/mod.ts";
import { readJson, UsageError } from "../../files/mod.ts";
import { computeHere, openExported } from "../support/exported_model.ts";
import { withTempDir } from "../support/temp_dir.ts";

const FOLDER = new URL("../golden/llama-tiny/init", import.meta.url).pathname;
const PROMPT = [72, 101, 108, 108, 111];

Deno.test("exportDirectory() writes the graph with places and caches, and a configuration that says what it is", async () => {
  await withTempDir(async (out) => {
    const { inputs } = await exportDirectory(FOLDER, `${out}/model`);
    assertEquals(inputs.filter((name) => !name.startsWith("past")), [
      ...["input_ids", "attention_mask", "position_ids"],
    ]);
    const config = await readJson(`${out}/model/config.json`) as Record<string, unknown>;
    assertEquals(config.model_type, "llama");
    assert(await Deno.stat(`${out}/model/generation_config.json`));

    const { logits } = await computeHere(FOLDER, PROMPT, 0), numTokens = PROMPT.length;
    const session = await openExported(`${out}/model/onnx/model.onnx`, "wasm");
    const { num_key_value_heads: heads, hidden_size, num_attention_heads } = config as Record<string, number>;
    const empty = session.floats(new Float32Array(0), [1, heads, 0, hidden_size / num_attention_heads]);
    const past = Object.fromEntries(
      inputs.filter((name) => name.startsWith("past")).map((name) => [name, empty]),
    );
    const { logits: there } = await session.run({
      ...past,
      input_ids: session.ids(PROMPT),
      attention_mask: session.ids(Array(numTokens).fill(1)),
      position_ids: session.ids([...PROMPT.keys()]),
    });
    const last = (there.data as Float32Array).slice((numTokens - 1) * there.dims[2]);
    const apart = Math.max(...last.map((value, i) => Math.abs(value - logits.at(-1)![i])));
    assert(apart < 1e-5, `${apart}`);
  });
});

Deno.test("exportDirectory() refuses a place where it cannot write", async () => {
  await withTempDir(async (out) => {
    await Deno.writeTextFile(`${out}/file`, "");
    await assertRejects(
      () => exportDirectory(FOLDER, `${out}/file/model`),
      UsageError,
      "choose another --onnx",
    );
  });
});
