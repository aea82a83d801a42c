/**
 * transformers.js 4.3.1, under Node.js, on directories that `export --onnx DIR` writes: `deno task test:transformers`.
 * Needs npm and Node.js; installs the package into a folder of its own.
 */
import { assert, assertEquals } from "@std/assert";
import { exportDirectory } from "../../export/mod.ts";
import { generate, tokenizerOf } from "../../serve/mod.ts";
import { bpeFiles, learnMerges, tokenizerTexts, WordCounts } from "../../tokenizers/mod.ts";
import type { TrainOptions } from "../../train/mod.ts";
import { runToEnd } from "../train/support/runs.ts";

const PACKAGE = "@huggingface/transformers@4.3.1", NUM_TOKENS = 40;
const RECIPE = {
  layers: 2,
  embed: 64,
  heads: 4,
  context: 64,
  batch: 8,
  steps: 400,
  lr: 3e-3,
  warmup: 10,
  evalEvery: 0,
  dp: 1,
};
const root = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(root, { recursive: true }));

/** Runs a program to its end and returns the last line that it prints. */
async function lastLine(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd: root }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
}

await Deno.copyFile(new URL("./support/generate_mjs.txt", import.meta.url), `${root}/generate.mjs`);
await Deno.writeTextFile(`${root}/package.json`, "{}");
// Its image library would build native code; texts need none of it.
await lastLine("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]);
await writeVocabulary(`${root}/vocabulary`);

/** Learns a vocabulary from the files of the project. */
async function writeVocabulary(folder: string): Promise<void> {
  const words = new WordCounts();
  for (const name of ["README.md", "CONTRIBUTING.md"]) {
    words.add(await Deno.readTextFile(new URL(`../../${name}`, import.meta.url)));
  }
  await Deno.mkdir(folder);
  for (const [name, text] of Object.entries(tokenizerTexts(bpeFiles(learnMerges(words.counts, 500))))) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
}

const MODELS: Record<string, TrainOptions> = {
  llama: { ...RECIPE, model: "llama", kvHeads: 2 },
  gpt2: { ...RECIPE, model: "gpt2" },
  "qwen3 with a vocabulary of its own": {
    ...RECIPE,
    model: "qwen3",
    kvHeads: 2,
    tokenizer: `${root}/vocabulary`,
  },
  "gpt2 with a vocabulary of its own": { ...RECIPE, model: "gpt2", tokenizer: `${root}/vocabulary` },
};

for (const [name, options] of Object.entries(MODELS)) {
  Deno.test(`transformers.js writes the ${NUM_TOKENS} greedy tokens that we do: a trained ${name}`, async () => {
    const out = `${root}/${name.replaceAll(" ", "_")}`, prompt = "Call me ";
    const { result } = await runToEnd({ ...options, out: `${out}_run` }), checkpoint = result.checkpoint!;
    await exportDirectory(checkpoint, out);
    const ours = await Array.fromAsync(
      generate(checkpoint, { prompt, numTokens: NUM_TOKENS, temperature: 0, ignoreEos: true }),
    );
    const folder = out.slice(0, out.lastIndexOf("/") + 1), model = out.slice(folder.length);
    const { tokens, text } = JSON.parse(
      await lastLine("node", ["generate.mjs", folder, model, prompt, `${NUM_TOKENS}`]),
    );
    assertEquals(tokens, ours);
    assertEquals(text, (await tokenizerOf(checkpoint))!.decode(ours));
    assert(new Set(ours).size > 1, "the model has learned nothing that tells tokens apart");
  });
}
