/**
 * Rings of real workers against attention on one device.
 *
 * Bounds: a probability is off by eps times the size of its score (at most about 10 here) and by the rounding of its sum
 * over keys, on both sides; errors of T terms add up like sqrt(T). 4 eps sqrt(T) of the largest element.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { AttentionBackwardArgs } from "../../../kernels/mod.ts";
import { fusedInputs, Tape } from "../../../nn/mod.ts";
import { ringAttention, RingBuffers } from "../../../strategies/mod.ts";
import { EPS, noise } from "../../conformance/backend_pair.ts";
import { makeBackend, phantomBackend } from "../../support/device.ts";
import type { OpCase } from "../programs/attention_op.ts";
import type { ContextResult } from "../programs/context_parallel.ts";
import { fakeGroup } from "../support/fake_group.ts";
import { assemble, assertClose, gradientsByPart, type Outcome, runCases } from "../support/context_world.ts";

const SIZES: Omit<OpCase, "kind" | "cp">[] = [24, 96].flatMap((tokens) =>
  [1, 3].flatMap((heads) => [1, 3].map((batch) => ({ batch, tokens, heads, headDim: 5 })))
);
// More queries than a block of the kernel, a large op after small ones, two readers of one projection, shared heads
// (whose results take more room than their keys), and tensors of their own.
const OTHERS: Omit<OpCase, "kind">[] = [
  { cp: 2, batch: 1, tokens: 240, heads: 2, headDim: 16 },
  { cp: 3, batch: 2, tokens: 24, heads: 2, headDim: 4, uses: 2 },
  ...(["wasm", "reference"] as const).flatMap((backend) => [
    { cp: 2, batch: 2, tokens: 24, heads: 4, kvHeads: 1, headDim: 5, backend },
    { cp: 3, batch: 1, tokens: 24, heads: 4, kvHeads: 2, headDim: 1, backend },
    { cp: 2, batch: 2, tokens: 24, heads: 4, kvHeads: 2, headDim: 5, isSeparate: true, uses: 2, backend },
  ]),
  { cp: 4, batch: 1, tokens: 240, heads: 8, kvHeads: 1, headDim: 16 },
  { cp: 4, batch: 2, tokens: 48, heads: 8, kvHeads: 1, headDim: 16 },
];
const CASES: OpCase[] = [
  ...[1, 2, 3, 4].flatMap((cp) => SIZES.map((sizes) => ({ ...sizes, cp }))),
  ...OTHERS,
].map((sizes) => ({ ...sizes, kind: "op" }));

let running: Promise<Outcome<OpCase>[]> | undefined;
const outcomes = () => running ??= runCases(CASES);

const named = ({ cp, batch, tokens, heads, kvHeads = heads, backend = "wasm" }: OpCase) =>
  `cp ${cp}, B ${batch}, T ${tokens}, ${heads} heads, ${kvHeads} of keys, ${backend}`;

Deno.test("ringAttention() gives what attention on one device gives, forward and backward", async () => {
  for (const { test, ofRanks, ofOne } of await outcomes()) {
    const { tokens, heads, headDim } = test, width = heads * headDim, bound = 4 * EPS * Math.sqrt(tokens);
    const whole = (values: (of: ContextResult) => Float32Array, cols: number) =>
      assemble(ofRanks.map((of) => ({ positions: of.positions, values: values(of) })), tokens, cols);
    assertEquals(ofRanks.length, test.cp);
    assertClose(named(test), whole(({ out }) => out, width), ofOne.out, bound);
    const want = gradientsByPart(test, ofOne.gradients), { kvHeads = heads } = test;
    for (const [part, name] of ["dQ", "dK", "dV"].entries()) {
      const columns = (part === 0 ? heads : kvHeads) * headDim;
      const got = whole(({ gradients }) => gradientsByPart(test, gradients)[part], columns);
      assertClose(`${name}, ${named(test)}`, got, want[part], bound);
    }
  }
});

Deno.test("ringAttention() moves 2 (cp - 1) / cp B T C x 4 bytes per rank forward, twice that backward", async () => {
  for (const { test, ofRanks } of await outcomes()) {
    const { cp, batch, tokens, heads, kvHeads = heads, headDim, uses = 1 } = test;
    const bytes = uses * 2 * (cp - 1) / cp * batch * tokens * kvHeads * headDim * 4;
    for (const rank of ofRanks) assertEquals(rank.bytes, [bytes, 2 * bytes], named(test));
  }
});

Deno.test("ringAttention() takes the buffers that a phantom heap says, once for all readers", async () => {
  for (const { test, ofRanks } of await outcomes()) {
    const { cp, batch, tokens, heads, kvHeads = heads, headDim } = test,
      backend = phantomBackend(),
      { heap } = backend;
    const shape = [batch, tokens / cp, (heads + 2 * kvHeads) * headDim];
    const qkv = new Tape({ backend, training: false }).input("qkv", shape);
    const inputs = fusedInputs(qkv, { headDim, group: heads / kvHeads });
    if (cp > 1) new RingBuffers().take(heap, inputs, "f32");
    for (const { bufferBytes } of ofRanks) assertEquals(bufferBytes, heap.usedBytes().buffers);
  }
});

Deno.test("ringAttention() refuses an odd number of tokens, and heads that cannot be shared", () => {
  const tape = new Tape({ backend: phantomBackend(), training: true }), buffers = new RingBuffers();
  const inputs = (tokens: number) =>
    fusedInputs(tape.input("qkv", [1, tokens, 12]), { headDim: 4, group: 1 });
  const options = { group: fakeGroup(2), label: "a", buffers };
  assertThrows(
    () => ringAttention(tape, inputs(3), options),
    RangeError,
    "Cannot split sequences of 6 tokens over the cp axis",
  );
  const odd = { ...inputs(2), heads: 3, kvHeads: 2 };
  assertThrows(
    () => ringAttention(tape, odd, options),
    RangeError,
    "Cannot share 2 heads of keys and values among 3",
  );
});

for (const name of ["reference", "wasm"] as const) {
  Deno.test(`attention to two sets of keys, merged, has the gradient of its differences on ${name}`, () => {
    const backend = makeBackend(name), { heap } = backend, heads = 2, headDim = 3, width = heads * headDim;
    const tensor = (rows: number, seed: number) => {
      const span = heap.allocate("test", rows * width, "activations");
      heap.f32(span).set(noise(rows * width, seed));
      return span;
    };
    const queries = 4,
      counts = [3, 4],
      out = tensor(queries, 1),
      dOut = tensor(queries, 2),
      part = tensor(queries, 3);
    const q = tensor(queries, 4), dQ = tensor(queries, 5);
    const [logSumExp, partLogSumExp] = [1, 2].map(() =>
      heap.allocate("sums", heads * queries, "activations")
    );
    const strides = { strideQ: 0, strideK: 0, strideV: 0, strideOut: 0 };
    const lds = { ldQ: width, ldK: width, ldV: width, ldOut: width };
    const sets = counts.map((keys, i): AttentionBackwardArgs => {
      const [k, v, dK, dV] = [10, 20, 30, 40].map((seed) => tensor(keys, seed + i));
      const sizes = { batch: 1, heads, headDim, queries, keys, scale: 0.5, causal: i === 1 };
      return { ...sizes, ...strides, ...lds, q, k, v, out, logSumExp, dOut, dQ, dK, dV, accumulate: true };
    });
    const loss = () => {
      backend.attention(sets[0]);
      backend.attention({ ...sets[1], out: part, logSumExp: partLogSumExp });
      backend.mergeAttention({ ...sets[0], part, partLogSumExp });
      const weights = heap.f32(dOut);
      return heap.f32(out).reduce((sum, value, i) => sum + value * weights[i], 0);
    };
    loss();
    const pairs = [[q, dQ], ...sets.flatMap(({ k, v, dK, dV }) => [[k, dK], [v, dV]])];
    for (const [, gradient] of pairs) backend.fill(0, gradient);
    for (const set of sets) backend.attentionBackward(set);
    for (const [span, gradient] of pairs) {
      heap.f32(span).forEach((before, i, values) => {
        const step = 2 ** -6;
        values[i] = before + step;
        const above = loss();
        values[i] = before - step;
        const numeric = (above - loss()) / (2 * step);
        values[i] = before;
        // Rounding of the outputs eps sqrt(n) / h = 2e-5, and a cubic term h^2 / 6 = 4e-5 times a third derivative.
        assert(
          Math.abs(heap.f32(gradient)[i] - numeric) < 5e-4,
          `${i}: ${heap.f32(gradient)[i]}, not ${numeric}`,
        );
      });
    }
  });
}
