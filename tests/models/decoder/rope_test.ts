import { assertAlmostEquals, assertEquals } from "@std/assert";
import { attentionFactor, rotaryTable } from "../../../models/decoder/rope.ts";

Deno.test("rotaryTable() turns the first pair by one radian a token, the last by theta^-(1 - 2 / D)", () => {
  const { frequencies, scale } = rotaryTable({ theta: 10000 }, 4, 8);
  assertEquals([frequencies, scale], [[1, 0.01], 1]);
  const stretched = rotaryTable({ theta: 10000, scaling: { type: "linear", factor: 4 } }, 4, 8);
  assertEquals(stretched.frequencies, [0.25, 0.0025]);
});

Deno.test("rotaryTable() of Llama 3 stretches long waves, leaves short ones, and mixes those between", () => {
  const scaling = { type: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4 } as const;
  // Waves of 2 pi, 2 pi 10, 2 pi 100 and 2 pi 1000 tokens, in a context of 128: 20.4, 2.04, 0.2 and 0.02 turns.
  const { frequencies } = rotaryTable({ theta: 10000, scaling: { ...scaling, originalContext: 128 } }, 8, 8);
  const share = (128 * 0.1 / (2 * Math.PI) - 1) / 3;
  const expected = [1, (1 - share) * 0.1 / 8 + share * 0.1, 0.01 / 8, 0.001 / 8];
  frequencies.forEach((frequency, i) => assertAlmostEquals(frequency, expected[i], 1e-12));
});

Deno.test("rotaryTable() of YaRN leaves pairs of many turns, stretches those of few, and scales", () => {
  const yarn = {
    type: "yarn",
    factor: 4,
    originalContext: 64,
    betaFast: 32,
    betaSlow: 1,
    truncate: true,
  } as const;
  const { frequencies, scale } = rotaryTable({ theta: 10000, scaling: yarn }, 8, 8);
  // 64 / (2 pi) is 10.2 turns of the first pair: below betaFast, so the ramp begins at pair 0, and ends at pair 2 (1.008).
  assertEquals(frequencies.map((f, i) => Number((f * 10 ** i).toFixed(6))), [1, 0.625, 0.25, 0.25]);
  assertAlmostEquals(scale, 0.1 * Math.log(4) + 1, 1e-12);
  assertEquals([attentionFactor(1), attentionFactor(0.5)], [1, 1]);
});
