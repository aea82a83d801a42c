import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  createDeviceMemory,
  DeviceHeap,
  LAYER_NORM,
  LAYER_NORM_BACKWARD,
  ReferenceBackend,
  type Span,
} from "../../../kernels/mod.ts";
import { testBackend } from "../../conformance/backend_cases.ts";

// The oracle passes its own suite: this checks the suite's bounds and aliases, not the oracle.
testBackend("reference", (heap) => new ReferenceBackend(heap));

/** A backend, and a function that makes spans; the values below were worked out by hand. */
function oracle(): {
  b: ReferenceBackend;
  tensor: (...values: number[]) => Span;
  read: (x: Span) => number[];
} {
  const heap = new DeviceHeap({ capBytes: 1 << 20, memory: createDeviceMemory(1 << 20) });
  const tensor = (...values: number[]) => {
    const span = heap.allocate("test", values.length, "activations");
    heap.f32(span).set(values);
    return span;
  };
  return { b: new ReferenceBackend(heap), tensor, read: (x) => [...heap.f32(x)] };
}

Deno.test("ReferenceBackend matmul() multiplies, transposes, adds", () => {
  const { b, tensor, read } = oracle();
  const a = tensor(1, 2, 3, 4, 5, 6), x = tensor(7, 8, 9, 10, 11, 12), c = tensor(1, 1, 1, 1);
  b.matmul({ m: 2, n: 2, k: 3, a, b: x, c });
  assertEquals(read(c), [58, 64, 139, 154]);
  b.matmul({ m: 2, n: 2, k: 3, a, b: x, c, transposeB: true, accumulate: true });
  assertEquals(read(c), [58 + 50, 64 + 68, 139 + 122, 154 + 167]);
  b.matmul({ m: 2, n: 2, k: 3, a, b: x, c, transposeA: true });
  assertEquals(read(c), [89, 98, 116, 128]);
});

Deno.test("ReferenceBackend softmax() and crossEntropy() of equal logits", () => {
  const { b, tensor, read } = oracle();
  const logits = tensor(5, 5, 5, 5),
    losses = tensor(0),
    targets = b.heap.allocate("t", 1, "activations", "i32");
  b.heap.i32(targets)[0] = 2;
  b.crossEntropy({ rows: 1, cols: 4, logits, targets, losses, dLogits: logits, scale: 2 });
  assertAlmostEquals(read(losses)[0], Math.log(4), 1e-7);
  assertEquals(read(logits), [0.5, 0.5, -1.5, 0.5]);
});

Deno.test("ReferenceBackend layerNorm() of 1, 2, 3 and its gradient, which is 0 along 1 and along x", () => {
  const { b, tensor, read } = oracle();
  const x = tensor(1, 2, 3), gamma = tensor(1, 1, 1), beta = tensor(0, 0, 10), out = tensor(0, 0, 0);
  const mean = tensor(0), rstd = tensor(0), sizes = { rows: 1, cols: 3 };
  b.row(LAYER_NORM, { ...sizes, x, gamma, beta, out, mean, rstd, epsilon: 0 });
  const root = Math.sqrt(1.5);
  [-root, 0, 10 + root].forEach((want, i) => assertAlmostEquals(read(out)[i], want, 1e-6));
  for (const dOut of [tensor(1, 1, 1), tensor(-1, 0, 1)]) {
    const dX = tensor(9, 9, 9), dGamma = tensor(0, 0, 0), dBeta = tensor(0, 0, 0);
    b.row(LAYER_NORM_BACKWARD, { ...sizes, x, gamma, mean, rstd, dOut, dX, dGamma, dBeta });
    for (const value of read(dX)) assertAlmostEquals(value, 0, 1e-6);
    assertEquals(read(dBeta), read(dOut));
  }
});

Deno.test("ReferenceBackend attention() of equal keys is the mean of the values that are visible", () => {
  const { b, tensor, read } = oracle();
  const q = tensor(1, 2, 3), k = tensor(1, 1, 1), v = tensor(3, 6, 12), out = tensor(0, 0, 0);
  const logSumExp = tensor(0, 0, 0), lds = { ldQ: 1, ldK: 1, ldV: 1, ldOut: 1 };
  const strides = { strideQ: 3, strideK: 3, strideV: 3, strideOut: 3 };
  const sizes = { batch: 1, heads: 1, queries: 3, keys: 3, headDim: 1, scale: 2, causal: true };
  b.attention({ ...sizes, ...lds, ...strides, q, k, v, out, logSumExp });
  [3, 4.5, 7].forEach((want, i) => assertAlmostEquals(read(out)[i], want, 1e-6));
  [2, 4 + Math.log(2), 6 + Math.log(3)].forEach((want, i) =>
    assertAlmostEquals(read(logSumExp)[i], want, 1e-6)
  );
});

Deno.test("ReferenceBackend adamw() moves a parameter by the learning rate on its first step", () => {
  const { b, tensor, read } = oracle();
  const parameter = tensor(1), gradient = tensor(0.5), m = tensor(0), v = tensor(0);
  const rates = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 0, weightDecay: 0.5 };
  const corrections = { correction1: 0.1, correction2: 0.001, gradientScale: 2 };
  b.adamw({ parameter, gradient, m, v, ...rates, ...corrections });
  assertAlmostEquals(read(parameter)[0], 1 - 0.1 * 0.5 - 0.1, 1e-7);
  assertAlmostEquals(read(m)[0], 0.1, 1e-8);
  assertAlmostEquals(read(v)[0], 0.001, 1e-8);
});
