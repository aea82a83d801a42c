import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../files/usage_error.ts";
import { generate } from "../../serve/generate.ts";
import { resolveSample } from "../../serve/sample_options.ts";

Deno.test("resolveSample() completes and reads texts and numbers alike", () => {
  assertEquals(resolveSample({}), { numTokens: 200, temperature: 0.8, topK: 0, seed: 1337 });
  assertEquals(resolveSample({ numTokens: "3", topK: 5 }), {
    numTokens: 3,
    temperature: 0.8,
    topK: 5,
    seed: 1337,
  });
});

Deno.test("generate() refuses options that choose nothing, before it reads the model", async () => {
  const cases: [Record<string, number>, string][] = [
    [{ temperature: NaN }, "Cannot use --temperature NaN: it must be a number of at least 0"],
    [{ temperature: -1 }, "Cannot use --temperature -1"],
    [{ topK: -5 }, "Cannot use --top-k -5: it must be a whole number of at least 0"],
    [{ topK: 1.5 }, "Cannot use --top-k 1.5"],
    [{ numTokens: 0 }, "Cannot use --tokens 0: it must be a whole number of at least 1"],
    [{ seed: -1 }, "Cannot use --seed -1"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => resolveSample(options), UsageError, message);
    await assertRejects(() => generate("/nowhere", { prompt: "a", ...options }).next(), UsageError, message);
  }
});
