/** Models whose weights are in fewer bytes. */
import { assert, assertEquals } from "@std/assert";
import { WEIGHT_FORMATS } from "../../kernels/mod.ts";
import { type BatchRequest, type EngineOptions, generateBatch, resolveSample } from "../../serve/mod.ts";
import { pool } from "../support/pool.ts";

const goldenOf = (name: string) => new URL(`../golden/${name}/init`, import.meta.url).pathname;
const REQUESTS = Array.from({ length: 5 }, (_, i): BatchRequest => ({
  ...{ id: `${i}`, prompt: Array.from({ length: 2 + 5 * i }, (_, t) => (5 * t + 11 * i) % 60) },
  ...resolveSample({ numTokens: 8, seed: i, temperature: 0 }),
}));

async function answersOf(model: string, options: EngineOptions, requests = REQUESTS) {
  const all = await Array.fromAsync(
    generateBatch(goldenOf(model), requests, { pool, prefillChunk: 7, ...options }),
  );
  return all.sort((a, b) => Number(a.id) - Number(b.id));
}

/** Tied and not, weights [inputs, outputs] and [outputs, inputs], experts, odd sizes. */
const MODELS = ["llama-tiny", "gpt2-tiny", "families/qwen2", "families/mixtral", "families/llama_linear_odd"];

for (const weights of WEIGHT_FORMATS) {
  Deno.test(`a request has the same bits alone and in company, on one device and on stages: weights in ${weights}`, async () => {
    for (const model of MODELS.slice(0, 2)) {
      const all = await answersOf(model, { weights });
      assertEquals(await answersOf(model, { weights, prefillChunk: 64 }, [REQUESTS[3]]), [all[3]]);
      assertEquals(await answersOf(model, { weights, pp: 2 }), all);
    }
  });
}

Deno.test("log-probabilities with weights in fewer bytes are close to those with f32, the closer the more bytes", async () => {
  for (const model of MODELS) {
    const wide = await answersOf(model, {}), meanError: Record<string, number> = {};
    for (const weights of WEIGHT_FORMATS) {
      const errors = (await answersOf(model, { weights })).map(({ chosen: [first] }, i) =>
        Math.abs(first.logprob - wide[i].chosen[0].logprob)
      );
      meanError[weights] = errors.reduce((a, b) => a + b, 0) / errors.length;
    }
    const { bf16, q8_0, q4_0 } = meanError;
    assert(bf16 > 0 && bf16 < 0.01 && q8_0 > 0 && q8_0 < 0.02 && q4_0 < 0.2, JSON.stringify(meanError));
    assert(q4_0 > q8_0, JSON.stringify(meanError));
  }
});

/** Of a model whose parts are whole blocks. */
Deno.test("devices that share layers round the same blocks", async () => {
  for (const weights of WEIGHT_FORMATS) {
    const alone = await answersOf("gpt2-tiny", { weights });
    for (const [i, { chosen }] of (await answersOf("gpt2-tiny", { weights, tp: 2 })).entries()) {
      chosen.forEach(({ logprob, token }, t) => {
        assertEquals(token, alone[i].chosen[t].token);
        assert(Math.abs(logprob - alone[i].chosen[t].logprob) < 1e-4);
      });
    }
  }
});
