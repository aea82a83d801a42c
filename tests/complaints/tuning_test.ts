/** Complaints about adapters and merging; see numbers_test.ts. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readPeftConfig } from "../../adapters/mod.ts";
import { loadDirectory } from "../../checkpoint/mod.ts";
import { mergeAdapter } from "../../export/mod.ts";
import { readSafetensors, UsageError } from "../../files/mod.ts";
import { prepareTraining, type TrainOptions } from "../../train/mod.ts";
import { logProbabilitiesOf } from "../support/whole_scores.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd } from "../train/support/runs.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const LLAMA = `${GOLDEN}llama-tiny/init`, TIED = `${GOLDEN}families/llama3_tied`;
const OPTIONS: TrainOptions = {
  ...{
    init: LLAMA,
    data: `${GOLDEN}llama-tiny/tokens.bin`,
    batch: 2,
    steps: 4,
    warmup: 1,
    lr: 0.01,
    dp: 1,
    evalEvery: 0,
  },
  ...{ loraRank: 2, saveEvery: 2 },
};
const TOKENS = [5, 60, 32, 7, 81, 200, 33, 90];

// 1: huggingface/peft#1388, #2502; 3: #2764, #2032
Deno.test('"the merged model is the base": what is in the file computes what base and adapter do', () =>
  withTempDir(async (folder) => {
    await runToEnd({ ...OPTIONS, out: `${folder}/run` });
    const adapter = `${folder}/run/step-4`, out = `${folder}/merged`;
    await mergeAdapter({ base: LLAMA, adapter, out });
    const base = await loadDirectory(LLAMA),
      merged = await logProbabilitiesOf(await loadDirectory(out), TOKENS);
    const adapted = await logProbabilitiesOf(base, TOKENS, adapter),
      plain = await logProbabilitiesOf(base, TOKENS);
    const apart = (other: number[]) => Math.max(...merged.map((value, i) => Math.abs(value - other[i])));
    assert(apart(adapted) < 1e-5 && apart(plain) > 1e-4, `${apart(adapted)}, ${apart(plain)}`);
  }));

// 4: huggingface/peft#2018; 5: #2777, huggingface/transformers#45156
Deno.test('"an adapter of a tied head changes the embedding": it does not, and the merged head is said to be its own', () =>
  withTempDir(async (folder) => {
    const options = { ...OPTIONS, init: `${TIED}/init`, data: `${TIED}/tokens.bin`, loraTargets: "lm_head" };
    await runToEnd({ ...options, out: `${folder}/run` });
    await mergeAdapter({ base: `${TIED}/init`, adapter: `${folder}/run/step-4`, out: `${folder}/m` });
    const [before, after] = [`${TIED}/init`, `${folder}/m`].map((at) =>
      readSafetensors(`${at}/model.safetensors`)
    );
    const table = "model.embed_tokens.weight";
    assertEquals((await after).get(table)!.data, (await before).get(table)!.data);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/m/config.json`));
    assertEquals(config.tie_word_embeddings, false);
    const saved = { peft_type: "LORA", r: 1, lora_alpha: 1, modules_to_save: ["lm_head"] };
    let message = "";
    try {
      readPeftConfig(saved, "adapter_config.json");
    } catch (error) {
      message = (error as Error).message;
    }
    assert(message.includes('modules_to_save is ["lm_head"]'), message);
  }));

// 12: lm-sys/FastChat#1280, ace-step/ACE-Step-1.5#742
Deno.test('"resume forgets the adapter or its moments": the run goes on with the bits of one that was not interrupted', () =>
  withTempDir(async (folder) => {
    const whole = await runToEnd({ ...OPTIONS, steps: 6, out: `${folder}/whole` });
    await runToEnd({ ...OPTIONS, steps: 6, out: `${folder}/part` });
    await Deno.remove(`${folder}/part/step-6`, { recursive: true });
    const rest = await runToEnd({
      resume: `${folder}/part/step-4`,
      dp: 1,
      evalEvery: 0,
      out: `${folder}/rest`,
    });
    assertEquals(rest.losses, whole.losses.slice(4));
    for (const name of ["adapter_model.safetensors", "optimizer.safetensors"]) {
      const [one, other] = ["whole", "rest"].map((run) => Deno.readFile(`${folder}/${run}/step-6/${name}`));
      assertEquals(await one, await other, name);
    }
  }));

// 15: unslothai/unsloth#9331
Deno.test('"a target that is no module is left out silently": it is an error that names the modules', async () => {
  const text = 'Cannot adapt "qproj": the model has no such linear layer; it has q_proj, k_proj, v_proj';
  await assertRejects(() => prepareTraining({ ...OPTIONS, loraTargets: "v_proj,qproj" }), UsageError, text);
});
