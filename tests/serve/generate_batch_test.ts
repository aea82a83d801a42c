import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { type BatchRequest, generate, generateBatch, resolveSample } from "../../serve/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";

const LLAMA = new URL("../golden/llama-tiny/", import.meta.url).pathname;
const EXPECTED = JSON.parse(await Deno.readTextFile(`${LLAMA}expected.json`));

/** The model before the golden run, and the one that it ends with. */
function withModels(check: (folders: Record<"init" | "final", string>) => Promise<void>): Promise<void> {
  return withTempDir(async (final) => {
    await Deno.copyFile(`${LLAMA}init/config.json`, `${final}/config.json`);
    await Deno.copyFile(`${LLAMA}final/model.safetensors`, `${final}/model.safetensors`);
    await check({ init: `${LLAMA}init`, final });
  });
}

const requestOf = (id: string, prompt: number[], more: object = {}): BatchRequest => ({
  ...{ id, prompt },
  ...resolveSample({ numTokens: 12, ...more }),
});

Deno.test("generateBatch() has the tokens and the log-probabilities of a request alone, in any order", () =>
  withModels(async ({ final }) => {
    const requests = Array.from(
      { length: 9 },
      (_, i) => requestOf(`${i}`, Array.from({ length: 1 + 2 * i }, (_, t) => 3 * t + i), { seed: i }),
    );
    const all = await Array.fromAsync(
      generateBatch(final, requests, { maxSequences: 4, prefillChunk: 5 }),
    );
    assertEquals(all.map(({ id }) => id).sort(), requests.map(({ id }) => id));
    for (const request of [requests[0], requests[7]]) {
      const [alone] = await Array.fromAsync(generateBatch(final, [request]));
      assertEquals(all.find(({ id }) => id === request.id), alone);
      const { id: _, ...rest } = request;
      assertEquals(
        await Array.fromAsync(generate(final, rest)),
        alone.chosen.map(({ token }) => token),
      );
    }
  }));

Deno.test("generateBatch() writes the greedy tokens of the golden Llama, of two models as an independent run has them", () =>
  withModels(async ({ init, final }) => {
    for (const [folder, key] of [[init, "greedy_init"], [final, "greedy"]]) {
      const { prompt, tokens } = EXPECTED[key], greedy = { temperature: 0, numTokens: tokens.length };
      const requests = [requestOf("other", [1, 2, 3]), requestOf("golden", prompt, greedy)];
      const all = await Array.fromAsync(generateBatch(folder, requests, { prefillChunk: 6 }));
      assertEquals(all.find(({ id }) => id === "golden")!.chosen.map(({ token }) => token), tokens);
    }
  }));

Deno.test("generateBatch() refuses what generate() refuses, and a prompt that fills the context", async () => {
  const write = (prompt: number[]) => () =>
    Array.fromAsync(generateBatch(`${LLAMA}init`, [requestOf("a", prompt)]));
  await assertRejects(write([]), UsageError, "give at least one id");
  await assertRejects(write([100000]), UsageError, "outside the model's vocabulary");
  await assertRejects(
    write(Array(1000).fill(1)),
    UsageError,
    "Cannot use request a: its prompt has 1000 tokens",
  );
});
