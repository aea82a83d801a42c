/** The answers of one device, to the bit, on every layout. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { type BatchRequest, type EngineOptions, generateBatch, resolveSample } from "../../serve/mod.ts";
import { pool } from "../support/pool.ts";

const goldenOf = (name: string) => new URL(`../golden/${name}/init`, import.meta.url).pathname;
const REQUESTS = Array.from({ length: 7 }, (_, i): BatchRequest => ({
  ...{ id: `${i}`, prompt: Array.from({ length: 1 + 3 * i }, (_, t) => (3 * t + 7 * i) % 60) },
  ...resolveSample({ numTokens: 10, seed: i }),
}));

async function answersOf(model: string, options: EngineOptions) {
  const limits = { maxSequences: 4, prefillChunk: 5 };
  const all = await Array.fromAsync(
    generateBatch(goldenOf(model), REQUESTS, { pool, ...limits, ...options }),
  );
  return all.sort((a, b) => Number(a.id) - Number(b.id));
}

const LAYOUTS: Record<string, readonly EngineOptions[]> = {
  "llama-tiny": [{ tp: 2 }, { tp: 4 }, { pp: 2 }, { tp: 2, pp: 2 }, { dp: 2, tp: 2 }],
  "gpt2-tiny": [{ tp: 2 }, { pp: 2 }],
  "families/mixtral": [{ tp: 2 }, { ep: 2 }, { ep: 2, tp: 2 }, { ep: 2, pp: 2 }],
};

for (const [model, layouts] of Object.entries(LAYOUTS)) {
  Deno.test(`generateBatch() answers with the same bits on all layouts in exact numerics: ${model}`, async () => {
    const numerics = "exact", expected = await answersOf(model, { numerics });
    assert(expected.every(({ chosen }) => chosen.length === 10));
    for (const layout of layouts) assertEquals(await answersOf(model, { numerics, ...layout }), expected);
  });
}

Deno.test("generateBatch() answers with the same bits from either replica, and close on other layouts", async () => {
  const expected = await answersOf("llama-tiny", {});
  for (const layout of [{ dp: 2 }, { pp: 2 }, { dp: 3, maxSequences: 1 }]) {
    assertEquals(await answersOf("llama-tiny", layout), expected);
  }
  const spread = await answersOf("llama-tiny", { tp: 2 });
  for (const [i, { chosen }] of spread.entries()) {
    assertEquals(chosen.map(({ token }) => token), expected[i].chosen.map(({ token }) => token));
    chosen.forEach(({ logprob }, t) => assert(Math.abs(logprob - expected[i].chosen[t].logprob) < 1e-5));
  }
});

Deno.test("generateBatch() refuses a layout that the model cannot be cut into", async () => {
  const refused: [string, EngineOptions, string][] = [
    ["llama-tiny", { tp: 3 }, "over tp 3"],
    ["llama-tiny", { pp: 99 }, "over 99 stages"],
    ["llama-tiny", { ep: 2 }, "Cannot use --ep 2: the model has no experts"],
    ["families/qwen3_moe", { ep: 2 }, "the number of experts must be a multiple of ep"],
    ["llama-tiny", { numerics: "exact", weights: "q8_0" }, "Cannot use --weights q8_0 with --numerics exact"],
  ];
  for (const [model, layout, message] of refused) {
    await assertRejects(() => answersOf(model, layout), UsageError, message);
  }
});
