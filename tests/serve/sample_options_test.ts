import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../files/usage_error.ts";
import { generate } from "../../serve/generate.ts";
import { resolveSample } from "../../serve/sample_options.ts";

Deno.test("resolveSample() completes and reads texts and numbers alike", () => {
  const all = {
    ...{ numTokens: 200, temperature: 0.8, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 1337 },
    ...{ presencePenalty: 0, frequencyPenalty: 0 },
  };
  assertEquals(resolveSample({}), all);
  const given = { numTokens: "3", topK: 5, topP: "0.9", minP: 0.1, repetitionPenalty: "1.2" };
  assertEquals(resolveSample(given), {
    ...all,
    ...{ numTokens: 3, topK: 5, topP: 0.9, minP: 0.1, repetitionPenalty: 1.2 },
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
    [{ topP: 0 }, "Cannot use --top-p 0: it must be a number above 0 and of at most 1"],
    [{ minP: 1.1 }, "Cannot use --min-p 1.1"],
    [{ repetitionPenalty: 0 }, "Cannot use --repetition-penalty 0"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => resolveSample(options), UsageError, message);
    await assertRejects(() => generate("/nowhere", { prompt: "a", ...options }).next(), UsageError, message);
  }
});
