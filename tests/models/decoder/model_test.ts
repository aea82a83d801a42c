import { assert, assertEquals } from "@std/assert";
import { loadDirectory } from "../../../checkpoint/mod.ts";
import { readSafetensors } from "../../../files/mod.ts";
import { generate } from "../../../serve/mod.ts";
import { logProbabilitiesOf } from "../../support/whole_scores.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const LLAMA = new URL("../../golden/llama-tiny/", import.meta.url).pathname;
const expected = JSON.parse(await Deno.readTextFile(`${LLAMA}expected.json`));

/** The trained model as a directory: `final` has the weights only. */
async function withFinal(run: (folder: string) => Promise<void>): Promise<void> {
  await withTempDir(async (folder) => {
    await Deno.copyFile(`${LLAMA}init/config.json`, `${folder}/config.json`);
    await Deno.copyFile(`${LLAMA}final/model.safetensors`, `${folder}/model.safetensors`);
    await run(folder);
  });
}

async function greedy(
  folder: string,
  { prompt, tokens }: { prompt: number[]; tokens: number[] },
): Promise<void> {
  const options = { prompt, numTokens: tokens.length, temperature: 0, ignoreEos: true };
  assertEquals(await Array.fromAsync(generate(folder, options)), tokens);
}

Deno.test("generate() chooses the tokens of the golden Llama, before and after training", async () => {
  await greedy(`${LLAMA}init`, expected.greedy_init);
  await withFinal((folder) => greedy(folder, expected.greedy));
});

Deno.test("the decoder gives the log-probabilities of the golden Llama within 1e-5", async () => {
  const tokens = new Uint16Array((await Deno.readFile(`${LLAMA}tokens.bin`)).buffer);
  const { context } = expected.recipe, wanted: number[] = expected.final_log_probabilities_sample0;
  await withFinal(async (folder) => {
    const found = await logProbabilitiesOf(await loadDirectory(folder), [...tokens.slice(0, context + 1)]);
    wanted.forEach((value, i) =>
      assert(Math.abs(found[i] - value) < 1e-5, `token ${i}: ${found[i]}, not ${value}`)
    );
  });
});

Deno.test("a run keeps what it was trained from: names, shapes and layout of the tensors of a file", async () => {
  const [init, final] = await Promise.all(
    ["init", "final"].map((name) => readSafetensors(`${LLAMA}${name}/model.safetensors`)),
  );
  const { weights } = await loadDirectory(`${LLAMA}init`);
  assertEquals([...weights.keys()].toSorted(), [...final.keys()].toSorted());
  for (const [name, { shape }] of init) assertEquals(weights.get(name)!.shape, shape);
});
