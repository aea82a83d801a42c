import { assert, assertEquals } from "@std/assert";
import { BLOCK_FORMATS, dequantiseBlocks, quantiseBlocks } from "../../files/mod.ts";

const WEIGHTS = Float32Array.from(
  { length: 32 * 50 },
  (_, i) => Math.sin(12.9898 * i) * Math.exp(Math.cos(i)),
);

for (const [format, share] of [["q8_0", 1 / 254], ["q4_0", 1 / 8]] as const) {
  Deno.test(`quantiseBlocks() is off by half a scale at most, of the largest of 32 weights: ${format}`, () => {
    const found = dequantiseBlocks(format, quantiseBlocks(format, WEIGHTS));
    for (let first = 0; first < WEIGHTS.length; first += 32) {
      const block = WEIGHTS.subarray(first, first + 32);
      const largest = block.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      block.forEach((weight, i) => {
        const error = Math.abs(found[first + i] - weight);
        // The scale itself is rounded to 11 bits.
        assert(error <= largest * (share + 2 ** -10), `${first + i}: off by ${error} of ${largest}`);
      });
    }
  });
}

Deno.test("blocks of zeros are zeros, and what was rounded once is not changed by rounding", () => {
  for (const format of BLOCK_FORMATS) {
    assertEquals(
      dequantiseBlocks(format, quantiseBlocks(format, new Float32Array(64))).every((w) => w === 0),
      true,
    );
    const once = quantiseBlocks(format, WEIGHTS);
    assertEquals(quantiseBlocks(format, dequantiseBlocks(format, once)), once);
  }
});

/** Written down from ggml's `block_q8_0` and `block_q4_0`. */
Deno.test("blocks lie as GGUF has them", () => {
  const weights = Float32Array.from({ length: 32 }, (_, i) => i === 3 ? -8 : i % 8);
  const q4 = quantiseBlocks("q4_0", weights);
  assertEquals([q4.length, new DataView(q4.buffer).getFloat16(0, true)], [18, 1]);
  assertEquals([q4[2], q4[2 + 3], q4[2 + 5]], [8 | 8 << 4, 0 | 11 << 4, 13 | 13 << 4]);
  const q8 = quantiseBlocks("q8_0", weights.map((weight) => weight * 127 / 8));
  assertEquals([q8.length, new DataView(q8.buffer).getFloat16(0, true)], [34, 1]);
  assertEquals([new Int8Array(q8.buffer)[2 + 3], q8[2 + 9], q8[2 + 31]], [-127, 16, 111]);
});
