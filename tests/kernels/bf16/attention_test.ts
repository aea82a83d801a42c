import { assertEquals } from "@std/assert";
import { readElements } from "../../../kernels/mod.ts";
import { noise } from "../../conformance/backend_pair.ts";
import { setUpBf16 } from "../support/bf16_set_up.ts";

const SIZE = { batch: 2, heads: 4, queries: 70, keys: 70, headDim: 6, scale: 0.3, causal: true };
const WIDTH = 24, ROWS = 70, LENGTH = 2 * ROWS * WIDTH;
const TIGHT = {
  ...{ ldQ: WIDTH, ldK: WIDTH, ldV: WIDTH, ldOut: WIDTH },
  ...{ strideQ: ROWS * WIDTH, strideK: ROWS * WIDTH, strideV: ROWS * WIDTH, strideOut: ROWS * WIDTH },
};

/** Heads of k and v side by side, apart from the next token's by those of the others. */
function checkBackward(kvHeads: number, dtype: "f32" | "bf16", name: "wasm" | "reference"): void {
  const { heap, inner, bf16, tensor, widened } = setUpBf16(name);
  const [q, k, v, out, dOut, dQ] = [1, 2, 3, 4, 5, 6].map((seed) => tensor(noise(LENGTH, seed)));
  const [dK, dV] = [7, 8].map((seed) => tensor(noise(LENGTH, seed), dtype));
  const logSumExp = tensor(new Float32Array(2 * SIZE.heads * ROWS), "f32");
  const operands = { q, k, v, out, dOut, dQ, dK, dV };
  const wide = Object.fromEntries(Object.entries(operands).map(([name, span]) => [name, widened(span)]));
  const args = { ...SIZE, kvHeads, ...TIGHT, ...operands, logSumExp, accumulate: true };
  const wideArgs = { ...args, ...wide, logSumExp: widened(logSumExp) };
  bf16.attention(args);
  inner.attention(wideArgs);
  assertEquals(heap.f32(logSumExp), heap.f32(wideArgs.logSumExp));
  // As the backward pass reads what was stored.
  bf16.copy(out, wideArgs.out);
  bf16.attentionBackward(args);
  inner.attentionBackward(wideArgs);
  assertEquals(readElements(heap, dQ), readElements(heap, tensor(heap.f32(wideArgs.dQ))));
  for (const name of ["dK", "dV"] as const) {
    const want = tensor(heap.f32(wideArgs[name]), dtype);
    assertEquals(readElements(heap, args[name]), readElements(heap, want), `${name} of ${kvHeads} heads`);
  }
}

Deno.test("bf16 keys may have float32 gradients, as a ring adds them up", () => {
  for (const kvHeads of [1, 2, 4]) checkBackward(kvHeads, "f32", "wasm");
});

Deno.test("bf16 gradients of keys are rounded once, after all heads that read them", () => {
  for (const name of ["wasm", "reference"] as const) {
    for (const kvHeads of [1, 2, 4]) checkBackward(kvHeads, "bf16", name);
  }
});

Deno.test("mergeAttention() of a bf16 result and a float32 part", () => {
  const { heap, inner, bf16, tensor, widened } = setUpBf16();
  const out = tensor(noise(LENGTH)), part = tensor(noise(LENGTH, 2), "f32"), rows = 2 * SIZE.heads * ROWS;
  const [logSumExp, partLogSumExp] = [3, 4].map((seed) => tensor(noise(rows, seed), "f32"));
  const { batch, heads, queries, headDim } = SIZE, strides = { ldOut: WIDTH, strideOut: ROWS * WIDTH };
  const sizes = { batch, heads, queries, headDim, ...strides }, want = widened(out), lse = widened(logSumExp);
  bf16.mergeAttention({ ...sizes, out, part, logSumExp, partLogSumExp });
  inner.mergeAttention({ ...sizes, out: want, part, logSumExp: lse, partLogSumExp });
  assertEquals(readElements(heap, out), readElements(heap, tensor(heap.f32(want))));
  assertEquals(heap.f32(logSumExp), heap.f32(lse));
});
