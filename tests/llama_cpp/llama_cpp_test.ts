/**
 * llama.cpp, by node-llama-cpp 3.21.1 under Node.js, on files that `export --gguf` writes, and @huggingface/gguf, which reads
 * them: `deno task test:llama`. Needs npm and Node.js; installs the packages into a folder of its own.
 */
import { assert, assertEquals } from "@std/assert";
import { exportGguf, type GgufType } from "../../export/mod.ts";
import { openGguf } from "../../files/mod.ts";
import { scoreTexts, tokenizerOf } from "../../serve/mod.ts";
import { bpeFiles, learnMerges, tokenizerTexts, WordCounts } from "../../tokenizers/mod.ts";
import { runToEnd } from "../train/support/runs.ts";

const PACKAGES = ["node-llama-cpp@3.21.1", "@huggingface/gguf@0.4.6"];
const root = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(root, { recursive: true }));

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, cwd: root }).output();
  assert(success, new TextDecoder().decode(stderr));
}

await Deno.copyFile(new URL("./support/score_mjs.txt", import.meta.url), `${root}/score.mjs`);
await Deno.writeTextFile(`${root}/package.json`, "{}");
await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...PACKAGES]);
const words = new WordCounts(), sources = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const text =
  (await Promise.all(sources.map((name) => Deno.readTextFile(new URL(`../../${name}`, import.meta.url)))))
    .join("\n");
words.add(text);
await Deno.writeTextFile(`${root}/text.txt`, text);
await Deno.mkdir(`${root}/vocabulary`);
for (const [name, text] of Object.entries(tokenizerTexts(bpeFiles(learnMerges(words.counts, 500))))) {
  await Deno.writeTextFile(`${root}/vocabulary/${name}`, text);
}

interface Found {
  readonly scores: number[][];
  readonly tokens?: number[];
  readonly tensors: [name: string, shape: number[], dtype: number][];
  readonly architecture: string;
}

/** What the others make of a file. */
async function askOthers(file: string, texts: readonly number[][], prompt?: string): Promise<Found> {
  const out = `${root}/found.json`;
  await Deno.writeTextFile(`${root}/task.json`, JSON.stringify({ file, texts, prompt, out }));
  await run("node", ["score.mjs", "task.json"]);
  return JSON.parse(await Deno.readTextFile(out));
}

const perplexityOf = (scores: readonly number[][]) => {
  const all = scores.flat();
  return Math.exp(-all.reduce((sum, score) => sum + score, 0) / all.length);
};

function farthest(ours: readonly number[][], theirs: readonly number[][]): number {
  return Math.max(...ours.flatMap((row, i) => row.map((score, t) => Math.abs(score - theirs[i][t]))));
}

const waves = (vocab: number, length: number) =>
  Array.from({ length: 3 }, (_, i) => Array.from({ length }, (_, t) => (7 * t * t + 11 * i) % vocab));

for (const name of ["qwen3", "mixtral", "llama3_tied", "llama_yarn", "llama_linear_odd"]) {
  Deno.test(`llama.cpp has our log-probabilities, in f32: ${name}`, async () => {
    const file = `${root}/${name}.gguf`, texts = waves(90, 24);
    await exportGguf(new URL(`../golden/families/${name}/init`, import.meta.url).pathname, file, "f32");
    const found = await askOthers(file, texts), ours = await scoreTexts(file, texts);
    const apart = farthest(ours, found.scores);
    assert(apart < 1e-4, `${apart}`);
    const { tensors, metadata } = await openGguf(file);
    assertEquals(found.tensors.map(([key, shape]) => [key, shape.toReversed()]), [
      ...[...tensors].map(([key, { shape }]) => [key, [...shape]]),
    ]);
    assertEquals(found.architecture, metadata.get("general.architecture"));
  });
}

const RECIPE = {
  layers: 2,
  heads: 4,
  kvHeads: 2,
  embed: 128,
  context: 64,
  batch: 8,
  steps: 300,
  lr: 3e-3,
  warmup: 10,
};

for (const model of ["llama", "qwen2", "qwen3"]) {
  Deno.test(`llama.cpp has our ids, log-probabilities and perplexities, in every type: a trained ${model}`, async () => {
    const options = {
      ...RECIPE,
      model,
      data: `${root}/text.txt`,
      tokenizer: `${root}/vocabulary`,
      evalEvery: 0,
      dp: 1,
    };
    const { result } = await runToEnd({ ...options, out: `${root}/${model}` }),
      checkpoint = result.checkpoint!;
    const tokenizer = (await tokenizerOf(checkpoint))!, ids = tokenizer.encode(text);
    const texts = Array.from({ length: 8 }, (_, i) => ids.slice(64 * i, 64 * i + 64));
    const bounds: Record<GgufType, number> = { f32: 2e-3, bf16: Infinity, q8_0: Infinity, q4_0: Infinity };
    for (const [type, bound] of Object.entries(bounds)) {
      const file = `${root}/${model}-${type}.gguf`;
      await exportGguf(checkpoint, file, type as GgufType);
      const prompt = text.slice(0, 900), found = await askOthers(file, texts, prompt);
      assertEquals(found.tokens, tokenizer.encode(prompt));
      const ours = await scoreTexts(file, texts), apart = farthest(ours, found.scores);
      const [own, other] = [ours, found.scores].map(perplexityOf);
      console.log(
        `${model} ${type}: log-probabilities ${apart.toExponential(1)} apart, perplexity ${own}, ${other}`,
      );
      assert(apart < bound, `${type}: ${apart}`);
      assert(Math.abs(own / other - 1) < 0.005, `${type}: perplexity ${own}, llama.cpp's ${other}`);
    }
  });
}
