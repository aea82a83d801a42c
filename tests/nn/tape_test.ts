import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Backend } from "../../kernels/mod.ts";
import { Gpt } from "../../models/mod.ts";
import {
  add,
  allocateGradients,
  type Entry,
  gelu,
  GradientArena,
  linear,
  type Loss,
  multiply,
  normal,
  type Parameter,
  Scope,
  sumLoss,
  tanh,
  Tape,
  type Tensor,
} from "../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../support/device.ts";

const SIZES = { layers: 2, heads: 2, embed: 16, context: 12, vocab: 29 };
const BATCH = 3;

interface Recording {
  backend: Backend;
  parameters: readonly Parameter[];
  tape: Tape;
  loss: Loss;
  run(): void;
}

/** A recorded pass of a small GPT, its gradients, and how to run it once. */
function record(backend: Backend, options: { arena?: GradientArena } = {}): Recording {
  const scope = Scope.root(backend.heap, 1), model = new Gpt(scope, SIZES);
  const gradients = allocateGradients(backend.heap, scope.parameters);
  const tape = new Tape({ backend, training: true, ...options });
  const inputs = tape.input("inputs", [BATCH, SIZES.context], "i32");
  const targets = tape.input("targets", [BATCH, SIZES.context], "i32");
  const loss = model.loss(tape, inputs, targets);
  tape.plan();
  const run = () => {
    const { heap } = backend, ids = heap.i32(inputs.span), next = heap.i32(targets.span);
    ids.forEach((_, i) => ids[i] = (7 * i + 3) % SIZES.vocab);
    next.forEach((_, i) => next[i] = (7 * i + 10) % SIZES.vocab);
    backend.fill(0, gradients);
    tape.forward();
    tape.backward();
  };
  return { backend, parameters: scope.parameters, tape, loss, run };
}

/** A root of the backward pass: the gradient of `x` is `value` everywhere. */
function rootOf(tape: Tape, x: Tensor, value: number): Entry {
  const { backend } = tape;
  return {
    ...{ name: "root", inputs: [x], output: tape.output("root", [1], [x]), isRoot: true },
    forward: () => {},
    backward: (gradients) => {
      const { span } = gradients.input(x)!;
      return { input: () => backend.fill(value, span) };
    },
  };
}

function gradientsOf({ backend, parameters }: Recording): Float32Array[] {
  return parameters.map(({ gradient }) => backend.heap.f32(gradient).slice());
}

Deno.test("Tape gives the same bits on every run, and so does a second tape", () => {
  const first = record(makeBackend()), second = record(makeBackend());
  first.run();
  const before = gradientsOf(first), loss = sumLoss(first.backend, first.loss);
  first.run();
  first.run();
  assertEquals(gradientsOf(first), before);
  assertEquals(sumLoss(first.backend, first.loss), loss);
  second.run();
  assertEquals(gradientsOf(second), before);
  assert(before.every((values) => values.some((value) => value !== 0)), "every parameter has a gradient");
});

Deno.test("Tape allocates when it is recorded and planned, never when it runs", () => {
  const recording = record(makeBackend()), { heap } = recording.backend;
  recording.run();
  const used = heap.usedBytes(), peak = heap.peakBytes;
  for (let i = 0; i < 20; i++) recording.run();
  assertEquals(heap.usedBytes(), used);
  assertEquals(heap.peakBytes, peak);
});

Deno.test("Tape plans the same bytes on a heap that only counts as on a real one", () => {
  const real = record(makeBackend("reference")), phantom = record(phantomBackend());
  assertEquals(phantom.backend.heap.usedBytes(), real.backend.heap.usedBytes());
  assertEquals(phantom.backend.heap.peakBytes, real.backend.heap.peakBytes);
});

Deno.test("Tape uses the blocks of gradients again: more layers need no more of them", () => {
  const bytesOf = (depth: number) => {
    const backend = phantomBackend(), scope = Scope.root(backend.heap, 1);
    const weights = Array.from({ length: depth }, (_, i) => scope.parameter(`w${i}`, [8, 8], normal(1)));
    allocateGradients(backend.heap, weights);
    const tape = new Tape({ backend, training: true });
    let x = gelu(tape, linear(tape, tape.input("x", [4, 8]), weights[0]));
    for (const weight of weights.slice(1)) x = gelu(tape, linear(tape, x, weight));
    tape.record(rootOf(tape, x, 1));
    const before = backend.heap.totalBytes;
    tape.plan();
    return backend.heap.totalBytes - before;
  };
  assertEquals(bytesOf(10), bytesOf(3));
  assert(bytesOf(3) <= 3 * 4 * 8 * 4, `${bytesOf(3)} bytes for blocks of 128`);
});

Deno.test("tapes that share an arena share the memory of their gradients", () => {
  const backend = phantomBackend(), arena = new GradientArena(backend.heap);
  const passOf = (arena: GradientArena | undefined) => {
    const tape = new Tape({ backend, training: true, arena });
    const x = gelu(tape, gelu(tape, parameter));
    tape.record(rootOf(tape, x, 1));
    const before = backend.heap.totalBytes;
    tape.plan();
    return backend.heap.totalBytes - before;
  };
  const parameter = Scope.root(backend.heap, 1).parameter("p", [64], normal(1));
  allocateGradients(backend.heap, [parameter]);
  const first = passOf(arena);
  assertEquals([first > 0, passOf(arena), passOf(undefined)], [true, 0, first]);
});

Deno.test("Tape backward() adds both parts of the gradient of a parameter that one op reads twice", () => {
  const backend = makeBackend(), p = Scope.root(backend.heap, 1).parameter("p", [3], normal(1));
  backend.fill(0, allocateGradients(backend.heap, [p]));
  const tape = new Tape({ backend, training: true });
  const x = add(tape, multiply(tape, p, p), add(tape, p, p));
  tape.record(rootOf(tape, x, 1));
  tape.forward();
  tape.backward();
  const values = backend.heap.f32(p.span);
  assertEquals([...backend.heap.f32(p.gradient)], [...values.map((value) => 2 * value + 2)]);
});

Deno.test("Tape backward() adds to the gradients: two micro-batches sum up", () => {
  const recording = record(makeBackend());
  recording.run();
  const once = gradientsOf(recording);
  recording.tape.forward();
  recording.tape.backward();
  for (const [i, twice] of gradientsOf(recording).entries()) {
    // The second pass adds up to 36 rows and two uses to what is there: each addition rounds by half an ulp.
    const largest = once[i].reduce((max, value) => Math.max(max, Math.abs(value)), 0),
      bound = 40 * 2 ** -24 * 2 * largest;
    twice.forEach((value, j) =>
      assert(Math.abs(value - 2 * once[i][j]) <= bound, recording.parameters[i].name)
    );
  }
});

Deno.test("Tape does not reach what the loss does not depend on", () => {
  const backend = makeBackend(), scope = Scope.root(backend.heap, 1);
  const used = scope.parameter("used", [2, 3], normal(1)),
    unused = scope.parameter("unused", [2, 3], normal(1));
  backend.fill(0, allocateGradients(backend.heap, scope.parameters));
  const tape = new Tape({ backend, training: true });
  tanh(tape, unused);
  const x = tanh(tape, used);
  tape.record(rootOf(tape, x, 1));
  tape.forward();
  tape.backward();
  assert(backend.heap.f32(used.gradient).every((value) => value !== 0));
  assert(backend.heap.f32(unused.gradient).every((value) => value === 0));
});

Deno.test("Tape without training keeps no gradients and plans no backward pass", () => {
  const backend = phantomBackend(), scope = Scope.root(backend.heap, 1), model = new Gpt(scope, SIZES);
  const tape = new Tape({ backend, training: false });
  const logits = model.logits(tape, tape.input("ids", [1, 4], "i32"));
  assertEquals([logits.requiresGradient, tape.plan().length], [false, 0]);
});

Deno.test("Tape record() refuses to go on after the backward pass was planned", () => {
  const { tape } = record(phantomBackend());
  const x = tape.input("x", [2]);
  assertThrows(() => gelu(tape, x), TypeError, "Cannot record after the backward pass was planned");
});

Deno.test("Tape release() and GradientArena release() give everything back", () => {
  const backend = phantomBackend(), arena = new GradientArena(backend.heap);
  const { tape } = record(backend, { arena });
  tape.release();
  arena.release();
  assertEquals(backend.heap.usedBytes().activations, 0);
});

Deno.test("a parameter without an allocated gradient cannot be trained, and says so", () => {
  const backend = phantomBackend(), p = Scope.root(backend.heap, 1).parameter("h.0.w", [4], normal(1));
  assertThrows(() => p.gradient, TypeError, "Cannot train h.0.w: no gradient was allocated");
});
