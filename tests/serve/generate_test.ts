import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { generate, generateAll, tokenizerOf } from "../../serve/mod.ts";
import { BYTES } from "../../tokenizers/mod.ts";
import { type TrainOptions } from "../../train/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runToEnd, tinyGpt } from "../train/support/runs.ts";

const MEMORY = { deviceMemoryBytes: 16 << 20 };

async function withModel(fn: (folder: string) => Promise<void>, more: TrainOptions = {}): Promise<void> {
  await withTempDir(async (folder) => {
    const options: TrainOptions = {
      ...await tinyGpt(folder),
      mesh: { dp: 1 },
      steps: 200,
      lr: 0.01,
      warmup: 0,
      ...more,
    };
    const { result } = await runToEnd({ ...options, out: `${folder}/out` });
    await fn(result.checkpoint!);
  });
}

Deno.test("generate() writes with a trained model, the same text for the same seed", () =>
  withModel(async (folder) => {
    const write = (seed: number) =>
      Array.fromAsync(generate(folder, { ...MEMORY, prompt: "the ", numTokens: 40, seed }));
    const text = await write(1);
    assertEquals(text.length, 40);
    assertEquals(await write(1), text);
    assert((await write(2)).join() !== text.join());
    const numKnown = text.filter((token) => /[a-z ]/.test(String.fromCharCode(token))).length;
    assert(numKnown >= 36, `it has learned which bytes there are: ${text}`);
  }));

Deno.test("generate() writes with a mixture of experts that was trained on two devices", () =>
  withModel(async (folder) => {
    const text = await Array.fromAsync(
      generate(folder, { ...MEMORY, prompt: "the ", numTokens: 40, seed: 1 }),
    );
    const numKnown = text.filter((token) => /[a-z ]/.test(String.fromCharCode(token))).length;
    assert(numKnown >= 36, `it has learned which bytes there are: ${text}`);
  }, { experts: 4, topKExperts: 2, mesh: { dp: 1 }, ep: 2 }));

Deno.test("generate() ends its worker when the reader leaves early", () =>
  withModel(async (folder) => {
    const tokens: number[] = [];
    for await (const token of generate(folder, { ...MEMORY, prompt: "a", numTokens: 100_000 })) {
      if (tokens.push(token) === 3) break;
    }
    assertEquals(tokens.length, 3);
  }));

Deno.test("generate() refuses a folder that is none, and an empty prompt", () =>
  withModel(async (folder) => {
    const first = (path: string, prompt: string) => generate(path, { prompt }).next();
    await assertRejects(() => first(`${folder}/no`, "a"), UsageError, "it does not exist");
    await assertRejects(() => first(folder, ""), UsageError, "empty --prompt");
  }));

Deno.test("generate() reads a text by the tokenizer of the directory, and says what to do where there is none", async () => {
  const llama = new URL("../golden/llama-tiny/init", import.meta.url).pathname;
  await assertRejects(
    () => generate(llama, { prompt: "a" }).next(),
    UsageError,
    "it has no tokenizer.json, which says what its ids mean; put it there, or give ids of tokens, as --prompt-ids",
  );
  assertEquals(await tokenizerOf(llama), undefined);
  await withModel(async (folder) => {
    assertEquals(await tokenizerOf(folder), BYTES);
    const [byText, byIds] = await Promise.all(
      ["the ", [116, 104, 101, 32]].map((prompt) =>
        Array.fromAsync(generate(folder, { ...MEMORY, prompt, numTokens: 5, temperature: 0 }))
      ),
    );
    assertEquals(byText, byIds);
  });
});

Deno.test("generateAll() goes on from each prompt as if it were alone", () =>
  withModel(async (folder) => {
    const options = { ...MEMORY, numTokens: 6, seed: 3 }, prompts = ["the ", "white whale and ", "sea"];
    const all = await Array.fromAsync(generateAll(folder, prompts, options));
    for (const [i, prompt] of prompts.entries()) {
      const alone = await Array.fromAsync(generate(folder, { ...options, prompt }));
      assertEquals(all.filter((written) => written.prompt === i).map(({ token }) => token), alone);
    }
  }));
