/**
 * Every op's backward pass against central differences of its forward pass.
 *
 * The loss is a weighted sum of the outputs in float64. With a step h = 2^-6, outputs rounded to float32 put about
 * eps |out| sqrt(n) / h = 1e-5 into a difference quotient, and the cubic term of the op h^2 / 6 f''' = 4e-5 times a third
 * derivative of at most about 10 for what is tested here: 1e-3 of the largest gradient is the bound.
 */
import { assert } from "@std/assert";
import type { Backend } from "../../kernels/mod.ts";
import {
  add,
  allocateGradients,
  attend,
  crossEntropy,
  embedding,
  fusedInputs,
  gelu,
  geluErf,
  groupedBias,
  groupedLinear,
  headNorm,
  layerNorm,
  linear,
  multiply,
  normal,
  Parameter,
  RandomStream,
  relu,
  reshape,
  rmsNorm,
  rotate,
  scaled,
  Scope,
  separateInputs,
  type Shape,
  softmax,
  sumLoss,
  swiglu,
  tanh,
  Tape,
  type Tensor,
  unary,
} from "../../nn/mod.ts";
import { rootOf } from "./support/weighted_sum.ts";
import { makeBackend } from "../support/device.ts";

const STEP = 2 ** -6, BOUND = 1e-3;

/** Records an op on parameters of the given shapes. */
type Build = (tape: Tape, parameters: Parameter[]) => Tensor;

interface Case {
  name: string;
  shapes: Shape[];
  build: Build;
  /** Of the parameters; by default 0.7. */
  deviation?: number;
}

const ids = (tape: Tape, shape: Shape, values: number[]) =>
  tape.constant("ids", shape, "i32", (i) => values[i]);

const TURNS = { frequencies: [1, 0.3], scale: 1.1, context: 8 };
const TURNS_OF_2 = { frequencies: [0.7], scale: 1, context: 8 };

const CASES: Case[] = [
  {
    name: "linear()",
    shapes: [[2, 3, 5], [5, 7], [7]],
    build: (t, [x, w, b]) => linear(t, x, w, { bias: b }),
  },
  { name: "linear() without bias", shapes: [[4, 5], [5, 3]], build: (t, [x, w]) => linear(t, x, w) },
  {
    name: "linear() with GELU",
    shapes: [[4, 5], [5, 9], [9]],
    build: (t, [x, w, b]) => linear(t, x, w, { bias: b, activation: "gelu" }),
  },
  {
    name: "linear() with residual",
    shapes: [[4, 5], [5, 5], [5], [4, 5]],
    build: (t, [x, w, b, r]) => linear(t, x, w, { bias: b, residual: r }),
  },
  {
    name: "linear() with itself as residual",
    shapes: [[4, 5], [5, 5], [5]],
    build: (t, [x, w, b]) => linear(t, gelu(t, x), w, { bias: b, residual: gelu(t, x) }),
  },
  {
    name: "linear() whose residual is its input",
    shapes: [[4, 5], [5, 5], [5]],
    build: (t, [p, w, b]) => {
      const x = tanh(t, p);
      return linear(t, x, w, { bias: b, residual: x });
    },
  },
  {
    name: "a feed-forward block (gradient through the activation)",
    shapes: [[6, 4], [4, 11], [11], [11, 4], [4]],
    build: (t, [p, w1, b1, w2, b2]) => {
      const x = tanh(t, p), up = linear(t, x, w1, { bias: b1, activation: "gelu" });
      return linear(t, up, w2, { bias: b2, residual: x });
    },
  },
  {
    name: "an activation with two consumers",
    shapes: [[3, 4], [4, 5], [5], [5, 5]],
    build: (t, [x, w, b, w2]) => {
      const up = linear(t, x, w, { bias: b, activation: "gelu" });
      return add(t, linear(t, up, w2), up);
    },
  },
  {
    name: "groupedLinear() with GELU",
    shapes: [[2, 3, 4], [4, 5], [4, 5], [5], [5]],
    build: (t, [x, w0, w1, b0, b1]) =>
      groupedLinear(t, tanh(t, x), { weights: [w0, w1], biases: [b0, b1], activation: "gelu" }),
  },
  {
    name: "groupedLinear() twice (gradient through the activation), without biases at the end",
    shapes: [[2, 3, 4], [4, 5], [4, 5], [5], [5], [5, 3], [5, 3]],
    build: (t, [x, w0, w1, b0, b1, v0, v1]) => {
      const up = groupedLinear(t, x, { weights: [w0, w1], biases: [b0, b1], activation: "gelu" });
      return groupedLinear(t, up, { weights: [v0, v1], biases: [] });
    },
  },
  {
    name: "groupedBias()",
    shapes: [[2, 3, 4], [4], [4]],
    build: (t, [x, b0, b1]) => groupedBias(t, tanh(t, x), [b0, b1]),
  },
  {
    name: "linear() of outputs first",
    shapes: [[2, 3, 4], [7, 4], [7]],
    build: (t, [x, weight, bias]) => linear(t, x, weight, { bias, outputsFirst: true }),
  },
  { name: "add()", shapes: [[3, 4], [3, 4]], build: (t, [a, b]) => add(t, tanh(t, a), tanh(t, b)) },
  {
    name: "add() of a tensor to itself",
    shapes: [[3, 4]],
    build: (t, [p]) => {
      const x = tanh(t, p);
      return add(t, x, x);
    },
  },
  {
    name: "a tensor with three consumers",
    shapes: [[3, 4]],
    build: (t, [p]) => {
      const x = tanh(t, p);
      return add(t, add(t, x, multiply(t, x, x)), gelu(t, x));
    },
  },
  { name: "multiply()", shapes: [[3, 4], [3, 4]], build: (t, [a, b]) => multiply(t, a, b) },
  { name: "gelu()", shapes: [[5, 7]], build: (t, [x]) => gelu(t, x) },
  { name: "scaled()", shapes: [[5, 7]], build: (t, [x]) => add(t, scaled(t, tanh(t, x), -1.5), x) },
  { name: "geluErf()", shapes: [[5, 7]], build: (t, [x]) => geluErf(t, x) },
  // Far from its kink, which a difference must not straddle.
  { name: "relu()", shapes: [[5, 7]], deviation: 30, build: (t, [x]) => relu(t, x) },
  { name: "tanh()", shapes: [[5, 7]], build: (t, [x]) => tanh(t, x) },
  { name: "unary() exp", shapes: [[5, 7]], build: (t, [x]) => unary(t, "exp", x) },
  { name: "unary() square", shapes: [[5, 7]], build: (t, [x]) => unary(t, "square", x) },
  { name: "unary() log", shapes: [[5, 7]], build: (t, [x]) => unary(t, "log", unary(t, "exp", x)) },
  { name: "reshape()", shapes: [[3, 4]], build: (t, [x]) => reshape(t, tanh(t, x), [2, 6]) },
  { name: "softmax()", shapes: [[3, 6]], build: (t, [x]) => softmax(t, x) },
  {
    name: "layerNorm()",
    shapes: [[3, 11], [11], [11]],
    build: (t, [x, gamma, beta]) => layerNorm(t, x, { gamma, beta, epsilon: 1e-5 }),
  },
  {
    name: "rmsNorm()",
    shapes: [[3, 11], [11]],
    build: (t, [x, gamma]) => rmsNorm(t, x, { gamma, epsilon: 1e-5 }),
  },
  {
    name: "rmsNorm() of a tensor that has another reader",
    shapes: [[3, 5], [5]],
    build: (t, [p, gamma]) => {
      const x = tanh(t, p);
      return add(t, rmsNorm(t, x, { gamma, epsilon: 0.1 }), multiply(t, x, x));
    },
  },
  {
    name: "swiglu()",
    shapes: [[3, 5], [3, 5]],
    build: (t, [gate, up]) => swiglu(t, tanh(t, gate), up),
  },
  {
    name: "swiglu() of a gate that has another reader",
    shapes: [[3, 5], [3, 5]],
    build: (t, [p, up]) => {
      const gate = tanh(t, p);
      return add(t, swiglu(t, gate, up), multiply(t, gate, gate));
    },
  },
  { name: "rotate()", shapes: [[2, 5, 12]], build: (t, [x]) => rotate(t, tanh(t, x), TURNS) },
  {
    name: "headNorm()",
    shapes: [[2, 3, 12], [4]],
    build: (t, [x, gamma]) => headNorm(t, x, { gamma, epsilon: 0.1 }),
  },
  {
    name: "groupedLinear() of outputs first",
    shapes: [[2, 3, 4], [5, 4], [5, 4]],
    build: (t, [x, w0, w1]) =>
      groupedLinear(t, tanh(t, x), { weights: [w0, w1], biases: [], outputsFirst: true }),
  },
  {
    name: "embedding()",
    shapes: [[5, 3]],
    build: (t, [table]) => embedding(t, ids(t, [2, 3], [0, 4, 4, 1, 4, 0]), table),
  },
  {
    name: "embedding() onto another",
    shapes: [[5, 3], [2, 3]],
    build: (t, [table, onto]) => embedding(t, ids(t, [2], [3, 3]), table, tanh(t, onto)),
  },
  {
    name: "attend()",
    shapes: [[2, 5, 3 * 6]],
    build: (t, [qkv]) => attend(t, fusedInputs(tanh(t, qkv), { headDim: 3, group: 1 })),
  },
  {
    name: "attend() over several blocks of queries",
    shapes: [[1, 50, 3 * 2]],
    build: (t, [qkv]) => attend(t, fusedInputs(qkv, { headDim: 2, group: 1 })),
  },
  ...[4, 2].map((group): Case => ({
    name: `attend() of 4 heads, of which ${group} share one of keys`,
    shapes: [[2, 5, 2 * (4 + 2 * 4 / group)]],
    build: (t, [qkv]) => attend(t, fusedInputs(tanh(t, qkv), { headDim: 2, group })),
  })),
  {
    name: "attend() in a window",
    shapes: [[1, 50, 4], [1, 50, 2], [1, 50, 2]],
    build: (t, [q, k, v]) => attend(t, separateInputs({ q, k, v }, 2, 3)),
  },
  {
    name: "attend() within documents that share a row",
    shapes: [[2, 6, 4], [2, 6, 4], [2, 6, 4]],
    build: (t, [q, k, v]) => {
      t.documents = t.constant("documents", [2, 6], "i32", (i) => [0, 0, 0, 3, 3, 5, 0, 1, 1, 1, 1, 1][i]);
      const turned = [q, k].map((x) => rotate(t, tanh(t, x), TURNS_OF_2));
      return attend(t, separateInputs({ q: turned[0], k: turned[1], v }, 2));
    },
  },
  {
    name: "attend() of three tensors, one of which has another reader",
    shapes: [[2, 5, 8], [2, 5, 4], [2, 5, 4]],
    build: (t, [q, k, v]) => {
      const keys = tanh(t, k), out = attend(t, separateInputs({ q, k: keys, v }, 2));
      return add(t, out, attend(t, separateInputs({ q: tanh(t, q), k: keys, v }, 2)));
    },
  },
  {
    name: "attend() to keys whose gradient nobody wants",
    shapes: [[2, 5, 8], [2, 5, 4]],
    build: (t, [q, v]) => {
      const k = t.constant("k", [2, 5, 4], "f32", (i) => Math.sin(i));
      return attend(t, separateInputs({ q, k, v }, 2));
    },
  },
  {
    name: "attend() of q in a tensor and of v and k in another",
    shapes: [[2, 5, 4], [2, 5, 4]],
    build: (t, [q, vk]) => {
      const [v, k] = [0, 2].map((column) => ({ tensor: vk, column }));
      return attend(t, { q: { tensor: q, column: 0 }, k, v, heads: 2, kvHeads: 1, headDim: 2 });
    },
  },
];

function check(backend: Backend, { shapes, build, deviation = 0.7 }: Case): void {
  const { heap } = backend, scope = Scope.root(heap, 5);
  const parameters = shapes.map((shape, i) => scope.parameter(`p${i}`, shape, normal(deviation)));
  backend.fill(0, allocateGradients(heap, parameters));
  const tape = new Tape({ backend, training: true }), out = build(tape, parameters);
  const stream = new RandomStream(1, "weights");
  const weights = Float32Array.from({ length: out.span.length }, (_, i) => stream.normal(i));
  rootOf(tape, out, weights);
  const loss = () => {
    tape.forward();
    return heap.f32(out.span).reduce((sum, value, i) => sum + value * weights[i], 0);
  };
  loss();
  tape.backward();
  for (const parameter of parameters) {
    const gradient = heap.f32(parameter.gradient).slice(), numeric = gradient.slice();
    for (let i = 0; i < gradient.length; i++) {
      const values = heap.f32(parameter.span), before = values[i];
      values[i] = before + STEP;
      const above = loss();
      values[i] = before - STEP;
      numeric[i] = (above - loss()) / (2 * STEP);
      values[i] = before;
    }
    const largest = numeric.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
    gradient.forEach((value, i) => {
      const error = Math.abs(value - numeric[i]) / largest;
      assert(error < BOUND, `${parameter.name}[${i}]: backward gives ${value}, differences ${numeric[i]}`);
    });
  }
}

for (const name of ["reference", "wasm"] as const) {
  for (const test of CASES) {
    Deno.test(`${test.name} has the gradient of its differences on ${name}`, () =>
      check(makeBackend(name), test));
  }
}

Deno.test("crossEntropy() has the gradient of its differences, masked rows have none", () => {
  const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 5);
  const x = scope.parameter("x", [4, 3], normal(1)), w = scope.parameter("w", [3, 6], normal(1));
  backend.fill(0, allocateGradients(heap, [x, w]));
  const tape = new Tape({ backend, training: true });
  const loss = crossEntropy(tape, linear(tape, x, w), ids(tape, [4], [2, 5, -1, 0]));
  loss.scale = 0.5;
  const value = () => {
    tape.forward();
    return 0.5 * sumLoss(backend, loss);
  };
  value();
  tape.backward();
  for (const parameter of [x, w]) {
    const gradient = heap.f32(parameter.gradient).slice();
    for (let i = 0; i < gradient.length; i++) {
      const values = heap.f32(parameter.span), before = values[i];
      values[i] = before + STEP;
      const above = value();
      values[i] = before - STEP;
      const numeric = (above - value()) / (2 * STEP);
      values[i] = before;
      assert(
        Math.abs(gradient[i] - numeric) < BOUND,
        `${parameter.name}[${i}]: ${gradient[i]}, differences ${numeric}`,
      );
    }
  }
  assert(heap.f32(x.gradient).subarray(6, 9).every((value) => value === 0), "the masked row has a gradient");
});
