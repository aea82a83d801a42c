import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../files/mod.ts";
import { type EngineOptions, generateBatch, planServing, resolveSample } from "../../serve/mod.ts";
import { pool } from "../support/pool.ts";

const LLAMA = new URL("../golden/llama-tiny/init", import.meta.url).pathname;

async function run(options: EngineOptions): Promise<void> {
  const request = { id: "a", prompt: [1, 2, 3], ...resolveSample({ numTokens: 4 }) };
  const [{ chosen }] = await Array.fromAsync(generateBatch(LLAMA, [request], { pool, ...options }));
  assertEquals(chosen.length, 4);
}

/** The smallest memory that is not refused, in KiB. */
async function leastOf(options: EngineOptions): Promise<number> {
  let [low, high] = [0, 1 << 20];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const isFitting = await planServing(LLAMA, {
      ...options,
      maxSequences: 1,
      deviceMemoryBytes: middle << 10,
    });
    if (isFitting.tokensThatFit >= 64) high = middle;
    else low = middle;
  }
  return high << 10;
}

Deno.test("what does not fit is refused with the table and with what fits, and that runs", async () => {
  const alone = await leastOf({}), spread = await leastOf({ tp: 4 });
  assert(spread < alone);
  await run({ deviceMemoryBytes: alone });
  const deviceMemoryBytes = alone - 1024;
  const error = await assertRejects(() => run({ deviceMemoryBytes }), UsageError, "a device needs");
  assert(/\(parameters .*, activations .*, cache .*\), and has at most .*; these fit: /.test(error.message));
  const advised = [...error.message.matchAll(/--(\w+) (\w+) \(/g)].map(([, name, value]) => [name, value]);
  assertEquals(advised.map(([name, value]) => `${name} ${value}`).slice(0, 2), [
    "weights bf16",
    "weights q8_0",
  ]);
  for (const [name, value] of advised) {
    await run({ deviceMemoryBytes, [name]: name === "weights" ? value : Number(value) });
  }
  await assertRejects(
    () => run({ deviceMemoryBytes: 1024 }),
    UsageError,
    "nothing that is tried fits; use a smaller",
  );
});

Deno.test("planServing() counts weights and tokens of the cache, on each layout", async () => {
  const { cacheBytesPerToken, tokensThatFit, bytes, context } = await planServing(LLAMA, {
    deviceMemoryBytes: 64 << 20,
  });
  // Keys and values of 2 heads of 16, in f32, in each of 2 layers.
  assertEquals([cacheBytesPerToken, bytes.cache, context], [2 * 2 * 2 * 16 * 4, 0, 64]);
  assert(tokensThatFit * cacheBytesPerToken > 48 << 20 && tokensThatFit % 64 === 0);
  const half = await planServing(LLAMA, { tp: 2, weights: "q4_0" });
  assertEquals(half.cacheBytesPerToken, cacheBytesPerToken / 2);
  assert(half.bytes.parameters < bytes.parameters / 2 && half.devices === 2);
  await assertRejects(() => planServing(LLAMA, { tp: 3 }), UsageError, "over tp 3");
});
