import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadDirectory } from "../../checkpoint/mod.ts";
import { mergeAdapter } from "../../export/mod.ts";
import { readSafetensors, readTensor, UsageError } from "../../files/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { logProbabilitiesOf } from "../support/whole_scores.ts";
import { runToEnd } from "../train/support/runs.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const TOKENS = Array.from({ length: 24 }, (_, i) => (7 * i * i + 3) % 90);
const BASES: Record<string, { base: string; data: string; targets: string }> = {
  "Llama": { base: "llama-tiny/init", data: "llama-tiny/tokens.bin", targets: "q_proj,down_proj,lm_head" },
  "GPT-2, whose weights lie the other way": {
    base: "gpt2-tiny/init",
    data: "gpt2-tiny/tokens.bin",
    targets: "c_attn,c_fc",
  },
  "a GPT-2 with an adapter of its tied head": {
    base: "gpt2-tiny/init",
    data: "gpt2-tiny/tokens.bin",
    targets: "lm_head",
  },
  "a tied Llama with an adapter of its head": {
    ...{
      base: "families/llama3_tied/init",
      data: "families/llama3_tied/tokens.bin",
      targets: "lm_head,k_proj",
    },
  },
};

for (const [name, { base, data, targets }] of Object.entries(BASES)) {
  Deno.test(`mergeAdapter() writes a model that computes what base and adapter do: ${name}`, () =>
    withTempDir(async (folder) => {
      const init = `${GOLDEN}${base}`, before = await Deno.readFile(`${init}/model.safetensors`);
      const options = {
        init,
        data: `${GOLDEN}${data}`,
        loraRank: 3,
        loraTargets: targets,
        out: `${folder}/run`,
      };
      await runToEnd({ ...options, batch: 2, steps: 4, lr: 0.02, warmup: 1, evalEvery: 0, dp: 1 });
      const adapter = `${folder}/run/step-4`, out = `${folder}/merged`;
      await mergeAdapter({ base: init, adapter, out });
      const merged = await logProbabilitiesOf(await loadDirectory(out), TOKENS);
      const adapted = await logProbabilitiesOf(await loadDirectory(init), TOKENS, adapter);
      const plain = await logProbabilitiesOf(await loadDirectory(init), TOKENS);
      const apart = (other: number[]) => Math.max(...merged.map((value, i) => Math.abs(value - other[i])));
      assert(apart(adapted) < 1e-5, `${apart(adapted)}`);
      assert(apart(plain) > 1e-3, "the adapter has learned nothing");
      assertEquals(await Deno.readFile(`${init}/model.safetensors`), before);
    }));
}

Deno.test("a merged head that was the table is one of its own, and the table stays", () =>
  withTempDir(async (folder) => {
    const init = `${GOLDEN}families/llama3_tied/init`, data = `${GOLDEN}families/llama3_tied/tokens.bin`;
    const options = { init, data, loraRank: 2, loraTargets: "lm_head", out: `${folder}/run`, lr: 0.02 };
    await runToEnd({ ...options, batch: 2, steps: 2, warmup: 1, evalEvery: 0, dp: 1 });
    await mergeAdapter({ base: init, adapter: `${folder}/run/step-2`, out: `${folder}/m` });
    const config = JSON.parse(await Deno.readTextFile(`${folder}/m/config.json`));
    assertEquals(config.tie_word_embeddings, false);
    const { weights } = await loadDirectory(init),
      merged = await readSafetensors(`${folder}/m/model.safetensors`);
    const table = "model.embed_tokens.weight";
    assertEquals(merged.get(table)!.data, readTensor(weights.get(table)!));
    assert(merged.get("lm_head.weight")!.data.some((value, i) => value !== merged.get(table)!.data[i]));
  }));

Deno.test("mergeAdapter() writes shards, with an index, when a size is asked for", () =>
  withTempDir(async (folder) => {
    const base = `${GOLDEN}llama-tiny/init`, adapter = `${GOLDEN}llama-lora/adapter_final`;
    await mergeAdapter({ base, adapter, out: `${folder}/one` });
    await mergeAdapter({ base, adapter, out: `${folder}/many`, shardBytes: 40_000 });
    const one = await readSafetensors(`${folder}/one/model.safetensors`);
    const { weights } = await loadDirectory(`${folder}/many`);
    assert(new Set([...weights.values()].map(({ path }) => path)).size > 2);
    for (const [name, tensor] of weights) assertEquals(readTensor(tensor), one.get(name)!.data, name);
  }));

Deno.test("mergeAdapter() refuses a place that is taken, and leaves nothing behind when it fails", () =>
  withTempDir(async (folder) => {
    const base = `${GOLDEN}llama-tiny/init`, adapter = `${GOLDEN}llama-lora/adapter_final`;
    await mergeAdapter({ base, adapter, out: `${folder}/a` });
    const text = "it is there already; choose another --out";
    await assertRejects(() => mergeAdapter({ base, adapter, out: `${folder}/a` }), UsageError, text);
    const gpt = `${GOLDEN}gpt2-tiny/init`;
    await assertRejects(
      () => mergeAdapter({ base: gpt, adapter, out: `${folder}/b` }),
      UsageError,
      "with this model",
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["a"]);
  }));
