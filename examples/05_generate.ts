/**
 * What you learn: a checkpoint is a Hugging Face GPT-2 directory; generation goes on from a prompt, token by token.
 *
 *     deno run --allow-read --allow-write examples/05_generate.ts
 *
 * prints a few words in the style of a model that has seen 100 steps: letters and spaces, little more.
 */
import { assertEquals } from "@std/assert";
import { BYTES, generate, gpt, StreamDecoder, train } from "../mod.ts";

if (import.meta.main) {
  const out = await Deno.makeTempDir();
  const model = gpt({ layers: 2, heads: 2, embed: 64, context: 32 });
  for await (const step of train({ model, out, steps: 100, warmup: 10, evalEvery: 0 })) {
    if (step.step % 20 === 0) console.log(`step ${step.step}: loss ${step.loss.toFixed(3)}`);
  }
  const text = new StreamDecoder(BYTES);
  let written = "Call me ", count = 0;
  for await (
    const token of generate(`${out}/step-100`, { prompt: written, numTokens: 60, temperature: 0.7 })
  ) {
    written += text.next(token);
    count++;
  }
  console.log(written);
  assertEquals(count, 60);
  await Deno.remove(out, { recursive: true });
}
