import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { checkRun, findModel, openModel } from "../../checkpoint/model_directory.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { BASE } from "../train/support/model_cases.ts";

/** Makes files, with their folders; a name that ends in a slash is a folder. */
async function make(root: string, ...names: string[]): Promise<void> {
  for (const name of names) {
    await Deno.mkdir(`${root}/${name.slice(0, name.lastIndexOf("/") + 1)}`, { recursive: true });
    if (!name.endsWith("/")) await Deno.writeTextFile(`${root}/${name}`, "{}");
  }
}

/** `generate out` and `export out`, as the README had it, asked for `out/config.json`. */
Deno.test("findModel() takes a directory itself, or the newest checkpoint of the newest run", () =>
  withTempDir(async (root) => {
    await make(root, "a/config.json", "b/model.safetensors", "c/model.safetensors.index.json");
    for (const name of ["a", "b", "c"]) assertEquals(await findModel(`${root}/${name}`), `${root}/${name}`);
    assertEquals(await findModel(`${root}/a//`), `${root}/a`);

    await make(
      root,
      "out/step-9/config.json",
      "out/step-10/config.json",
      "out/step-2/config.json",
      "out/.tmp-step-99/",
    );
    assertEquals(await findModel(`${root}/out`), `${root}/out/step-10`);
    assertEquals(await findModel(`${root}/out/step-2`), `${root}/out/step-2`);
    await make(
      root,
      "out/run-9/step-5/config.json",
      "out/run-10/step-3/config.json",
      "out/run-11/",
      "out/run-12",
    );
    assertEquals(await findModel(`${root}/out`), `${root}/out/run-10/step-3`);
    assertEquals(await findModel(`${root}/out/run-9`), `${root}/out/run-9/step-5`);
    // Hugging Face's Trainer.
    await make(root, "hf/checkpoint-500/config.json", "hf/checkpoint-1000/config.json", "hf/runs/");
    assertEquals(await findModel(`${root}/hf`), `${root}/hf/checkpoint-1000`);
  }));

Deno.test("findModel() takes what refs/main names in Hugging Face's cache, or the newest snapshot", () =>
  withTempDir(async (root) => {
    const folder = `${root}/models--gpt2`, main = `${folder}/snapshots/abc`;
    await make(folder, "snapshots/abc/config.json", "snapshots/xyz/config.json", "blobs/");
    await Deno.utime(main, 1e9, 1e9);
    assertEquals(await findModel(folder), `${folder}/snapshots/xyz`);
    await make(folder, "refs/main");
    await Deno.writeTextFile(`${folder}/refs/main`, "abc\n");
    assertEquals(await findModel(folder), main);
    await Deno.writeTextFile(`${folder}/refs/main`, "gone");
    assertEquals(await findModel(folder), `${folder}/snapshots/xyz`);
  }));

/** Each of them was `config.json: it does not exist`, or a header of 10^18 bytes. */
Deno.test("findModel() and openModel() say what a directory has in place of a model, and what to do", () =>
  withTempDir(async (root) => {
    const cases: [string[], string][] = [
      [[], "the folder is empty"],
      [["notes.txt"], "it has no config.json and no model.safetensors, and no checkpoint step-N"],
      [["pytorch_model.bin"], "it has pytorch_model.bin, supported is model.safetensors; convert it with"],
      [["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], "save_pretrained("],
      [["ckpt.pt"], "it has ckpt.pt"],
      [["a.gguf", "b.gguf"], "it has a.gguf, b.gguf; give the path of one of them"],
      [["flax_model.msgpack"], "from_flax=True"],
      [["tf_model.h5"], "from_tf=True"],
      [["gpt2.safetensors"], "it has gpt2.safetensors, expected is model.safetensors; rename the file"],
    ];
    for (const [i, [names, message]] of cases.entries()) {
      const folder = `${root}/${i}`;
      await make(root, `${i}/`, ...names.map((name) => `${i}/${name}`));
      const error = await assertRejects(() => findModel(folder), UsageError, message);
      assertEquals([error.message.includes("\n"), error.message.startsWith(`Cannot use ${folder}: `)], [
        false,
        true,
      ]);
      if (names.length === 0 || ["notes.txt", "a.gguf"].includes(names[0])) continue;
      await make(folder, "config.json");
      await assertRejects(() => openModel(folder), UsageError, message);
    }
    await make(root, "mixed/config.json", "mixed/a.gguf", "bare/config.json", "alone/a.gguf");
    await assertRejects(
      () => openModel(`${root}/mixed`),
      UsageError,
      "it has a.gguf; give the path of that file",
    );
    assertEquals(await findModel(`${root}/alone`), `${root}/alone/a.gguf`);
    await assertRejects(() => findModel(`${root}/none.gguf`), UsageError, "none.gguf: it does not exist");
    await assertRejects(() => openModel(`${root}/bare`), UsageError, "bare: it has no model.safetensors");
    const file = `${root}/bare/config.json`;
    await assertRejects(
      () => findModel(file),
      UsageError,
      `it is a file; give the folder that holds it, ${root}/bare`,
    );
    await assertRejects(() => findModel(`${root}/no`), UsageError, "it does not exist; give a folder");
    await assertRejects(() => findModel(`${root}/no`, "resume from"), UsageError, "Cannot resume from");
  }));

Deno.test("checkRun() tells a run from weights, and from the checkpoint of another trainer", () =>
  withTempDir(async (root) => {
    await make(root, "ours/trainer_state.json", "theirs/trainer_state.json", "torch/optimizer.pt");
    await Deno.writeTextFile(`${root}/ours/trainer_state.json`, '\ufeff{"format": "tessera-trainer-state"}');
    await Deno.writeTextFile(`${root}/theirs/trainer_state.json`, '{"global_step": 500, "log_history": []}');
    await checkRun(`${root}/ours`);
    for (const name of ["theirs", "torch"]) {
      const message =
        `${name}: it is a checkpoint of another trainer (Hugging Face's); --init ${root}/${name} starts`;
      await assertRejects(() => checkRun(`${root}/${name}`), UsageError, message);
    }
    await assertRejects(
      () => checkRun(BASE),
      UsageError,
      "it has no trainer_state.json, which a run is in; --init",
    );
  }));
