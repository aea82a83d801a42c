import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { ByteText, encodeBytes, generate } from "../../serve/mod.ts";
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

Deno.test("ByteText decodes characters of several bytes when they are complete", () => {
  const text = new ByteText(), whale = encodeBytes("a\u{1f40b}");
  assertEquals(whale.map((token) => text.next(token)), ["a", "", "", "", "\u{1f40b}"]);
  assertEquals([text.next(0xf0), text.end()], ["", "\ufffd"]);
  assertEquals(new ByteText().next(300), "\ufffd");
});
