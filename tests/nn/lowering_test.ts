/** What ops compute in memory and as ONNX graphs, from the same values, to float32 rounding. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { onnx } from "../../kernels/mod.ts";
import {
  AdamW,
  adamwScalars,
  add,
  addBias,
  allocateGradients,
  attend,
  constant,
  crossEntropy,
  Embedding,
  fusedInputs,
  gelu,
  geluErf,
  headNorm,
  LayerNorm,
  Linear,
  linear,
  lowerAdamW,
  Lowering,
  multiply,
  normal,
  relu,
  reshape,
  rmsNorm,
  rotate,
  Scope,
  separateInputs,
  softmax,
  swiglu,
  tanh,
  Tape,
  type Tensor,
  unary,
} from "../../nn/mod.ts";
import { noise } from "../conformance/backend_pair.ts";
import { makeBackend } from "../support/device.ts";
import { evaluate } from "../support/onnx.ts";

/** Sums of a few dozen terms below 4, each rounded. */
const BOUND = 1e-5;

type Record = (parts: { tape: Tape; scope: Scope; x: Tensor }) => Tensor;

/** x is [2, 3, 12]. */
const CASES: { [name: string]: Record } = {
  "a linear layer with GELU": ({ tape, scope, x }) =>
    new Linear(scope, { inputs: 12, outputs: 5 }).forward(tape, x, { activation: "gelu" }),
  "a linear layer with a residual": ({ tape, scope, x }) =>
    new Linear(scope, { inputs: 12, outputs: 12 }).forward(tape, x, { residual: x }),
  "a bias by itself": ({ tape, scope, x }) =>
    addBias(tape, x, {
      bias: scope.parameter("bias", [12], (_, i) => i / 7),
      activation: "gelu",
      residual: x,
    }),
  "a projection on a table": ({ tape, scope, x }) =>
    linear(tape, x, scope.parameter("table", [7, 12], (_, i) => Math.sin(i)), { outputsFirst: true }),
  "a layer norm": ({ tape, scope, x }) => new LayerNorm(scope, 12).forward(tape, x),
  "an RMSNorm": ({ tape, scope, x }) => {
    const gamma = scope.parameter("gamma", [12], (_, i) => Math.sin(i));
    return rmsNorm(tape, x, { gamma, epsilon: 0.1 });
  },
  attention: ({ tape, x }) => attend(tape, fusedInputs(x, { headDim: 2, group: 1 })),
  "attention of four heads that share one of keys": ({ tape, x }) =>
    attend(tape, fusedInputs(x, { headDim: 2, group: 4 })),
  "attention of heads that share two of keys": ({ tape, x }) =>
    attend(tape, fusedInputs(x, { headDim: 1, group: 4 })),
  "attention of tensors of their own": ({ tape, scope, x }) => {
    const of = (name: string, outputs: number) =>
      new Linear(scope.child(name), { inputs: 12, outputs, initialize: normal(1) }).forward(tape, x);
    return attend(tape, separateInputs({ q: of("q", 8), k: of("k", 4), v: of("v", 4) }, 2));
  },
  "attention in a window": ({ tape, x }) => {
    const { q, k, v, heads, kvHeads, headDim } = fusedInputs(x, { headDim: 2, group: 1 });
    return attend(tape, { q, k, v, heads, kvHeads, headDim, window: 2 });
  },
  "rotary positions": ({ tape, x }) =>
    rotate(tape, add(tape, x, x), { frequencies: [1, 0.1], scale: 1, context: 3 }),
  "a norm of heads": ({ tape, scope, x }) => {
    const gamma = scope.parameter("gamma", [4], (_, i) => Math.sin(i + 1));
    return headNorm(tape, x, { gamma, epsilon: 0.1 });
  },
  "a gated unit": ({ tape, x }) => swiglu(tape, x, tanh(tape, x)),
  softmax: ({ tape, x }) => softmax(tape, x),
  "a chain of elements": ({ tape, x }) =>
    add(tape, multiply(tape, gelu(tape, x), tanh(tape, x)), relu(tape, reshape(tape, x, [2, 3, 12]))),
  "the other gelu": ({ tape, x }) => geluErf(tape, x),
  "an adapter": ({ tape, scope, x }) => {
    const tuned = scope.tuned({
      isTrained: () => true,
      adapterOf: ({ path }) => /lora/.test(path) ? undefined : { rank: 2, scale: 3 },
    });
    return new Linear(tuned, { inputs: 12, outputs: 5 }).forward(tape, x);
  },
  "exponentials, logarithms and squares": ({ tape, x }) =>
    unary(tape, "log", add(tape, unary(tape, "exp", x), unary(tape, "square", x))),
  "embeddings, added": ({ tape, scope, x }) => {
    const ids = tape.constant("ids", [2, 3], "i32", (i) => (i * 5) % 4);
    return new Embedding(scope, { rows: 4, width: 12, initialize: (_, i) => Math.cos(i) }).forward(
      tape,
      ids,
      x,
    );
  },
  "a loss with a masked row": ({ tape, x }) =>
    crossEntropy(tape, x, tape.constant("targets", [2, 3], "i32", (i) => i === 2 ? -1 : i)).rows,
};

for (const [name, record] of Object.entries(CASES)) {
  Deno.test(`Tape.lower() of ${name} gives what the tape computes`, async () => {
    const backend = makeBackend(), scope = Scope.root(backend.heap, 1);
    const tape = new Tape({ backend, training: false }),
      x = tape.input("x", [2, 3, 12]),
      values = noise(72, 4);
    const out = record({ tape, scope, x });
    backend.heap.f32(x.span).set(values);
    tape.forward();
    const graph = new onnx.Graph(), lowering = new Lowering(graph), input = graph.input("x", x.shape);
    lowering.bind(x, input);
    tape.lower(lowering);
    const feeds = new Map([[input, values]]);
    for (const { name, span } of scope.parameters) {
      feeds.set(lowering.parameters.get(name)!, backend.heap.f32(span) as Float32Array<ArrayBuffer>);
    }
    const [found] = await evaluate([lowering.valueOf(out)], feeds), wanted = backend.heap.f32(out.span);
    assertEquals(found.length, wanted.length);
    found.forEach((value, i) =>
      assert(Math.abs(value - wanted[i]) < BOUND, `${i}: ${value}, not ${wanted[i]}`)
    );
  });
}

Deno.test("Tape.lower() names an op that has no ONNX form, and a tensor that nobody made", () => {
  const backend = makeBackend(), tape = new Tape({ backend, training: false }), x = tape.input("x", [2]);
  tape.record({ name: "mystery", inputs: [x], output: x, forward: () => {} });
  assertThrows(
    () => tape.lower(new Lowering(new onnx.Graph())),
    TypeError,
    "Cannot run mystery as an ONNX graph",
  );
  assertThrows(() => new Lowering(new onnx.Graph()).valueOf(x), TypeError, "Cannot lower x");
});

Deno.test("lowerAdamW() updates as AdamW does", async () => {
  const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 1);
  const parameter = scope.parameter("w", [2, 3], constant(0.5));
  allocateGradients(heap, [parameter]);
  const config = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 }, { span, gradient } = parameter;
  const optimizer = new AdamW(backend, [{ name: "w", span, gradient, isDecayed: true }], config);
  heap.f32(gradient).set(noise(6, 2));
  const graph = new onnx.Graph(),
    [value, m, v, g] = ["p", "m", "v", "g"].map((name) => graph.input(name, [2, 3]));
  const numbers = adamwScalars(config, { step: 1, learningRate: 0.01, gradientScale: 0.5 });
  const scalars = {
    gradientScale: graph.scalar(numbers.gradientScale),
    rate: graph.scalar(numbers.rate),
    decayRate: graph.scalar(numbers.decayRate),
    rootCorrection: graph.scalar(numbers.rootCorrection),
  };
  const next = lowerAdamW({ value, m, v, gradient: g }, scalars, config);
  const feeds = new Map([[value, heap.f32(span).slice()], [g, noise(6, 2)], [m, new Float32Array(6)], [
    v,
    new Float32Array(6),
  ]]);
  const found = await evaluate([next.value, next.m, next.v], feeds);
  optimizer.update(1, 0.01, 0.5);
  const [moments] = optimizer.moments.values();
  for (const [i, wanted] of [span, moments.m, moments.v].entries()) {
    heap.f32(wanted).forEach((x, j) =>
      assert(Math.abs(found[i][j] - x) < 1e-7, `${i} ${j}: ${found[i][j]}, not ${x}`)
    );
  }
});
