/** Shapes and refusals; the arithmetic of every op is in gradient_check_test.ts and in the conformance suite. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  add,
  type Attend,
  attend,
  CausalSelfAttention,
  Embedding,
  embedding,
  FeedForward,
  fusedInputs,
  LayerNorm,
  Linear,
  linear,
  multiply,
  normal,
  reshape,
  RmsNorm,
  Scope,
  Tape,
} from "../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../support/device.ts";

function setUp() {
  const backend = phantomBackend(), scope = Scope.root(backend.heap, 1);
  return { scope, tape: new Tape({ backend, training: true }) };
}

Deno.test("layers keep all dims but the last", () => {
  const { scope, tape } = setUp(), x = tape.input("x", [2, 3, 8]);
  const sizes = { embed: 8, heads: 2, residualDeviation: 0.01 };
  assertEquals(new Linear(scope.child("l"), { inputs: 8, outputs: 5 }).forward(tape, x).shape, [2, 3, 5]);
  assertEquals(new LayerNorm(scope.child("n"), 8).forward(tape, x).shape, [2, 3, 8]);
  assertEquals(new CausalSelfAttention(scope.child("a"), sizes).forward(tape, x, x).shape, [2, 3, 8]);
  assertEquals(new FeedForward(scope.child("f"), sizes).forward(tape, x, x).shape, [2, 3, 8]);
  const ids = tape.input("ids", [2, 3], "i32");
  assertEquals(new Embedding(scope.child("e"), { rows: 9, width: 4 }).forward(tape, ids).shape, [2, 3, 4]);
});

Deno.test("Linear makes a bias unless it is told not to", () => {
  const { scope } = setUp();
  assertEquals(new Linear(scope.child("a"), { inputs: 2, outputs: 3 }).bias?.shape, [3]);
  assertEquals(new Linear(scope.child("b"), { inputs: 2, outputs: 3, bias: false }).bias, undefined);
});

Deno.test("LayerNorm starts as the plain normalisation", () => {
  const backend = makeBackend(), { heap } = backend, tape = new Tape({ backend, training: false });
  const x = tape.input("x", [1, 4]), out = new LayerNorm(Scope.root(heap, 1).child("n"), 4).forward(tape, x);
  heap.f32(x.span).set([1, 3, 5, 7]);
  tape.forward();
  const deviation = Math.sqrt(5 + 1e-5), expected = [-3, -1, 1, 3].map((value) => value / deviation);
  heap.f32(out.span).forEach((value, i) => assertEquals(Math.abs(value - expected[i]) < 1e-6, true));
});

Deno.test("RmsNorm starts as a division by the root mean square, and has no shift", () => {
  const backend = makeBackend(), { heap } = backend, tape = new Tape({ backend, training: false });
  const scope = Scope.root(heap, 1), x = tape.input("x", [1, 4]);
  const out = new RmsNorm(scope.child("n"), 4).forward(tape, x);
  heap.f32(x.span).set([1, 3, 5, 7]);
  tape.forward();
  const rms = Math.sqrt(21 + 1e-5), expected = [1, 3, 5, 7].map((value) => value / rms);
  heap.f32(out.span).forEach((value, i) => assertEquals(Math.abs(value - expected[i]) < 1e-6, true));
  assertEquals(scope.parameters.map(({ name, shape }) => [name, shape]), [["n.weight", [4]]]);
  assertThrows(
    () => new RmsNorm(scope.child("m"), 4).forward(tape, tape.input("y", [3, 2])),
    RangeError,
    "Cannot normalise y [3, 2] by m.weight [4]: the last dims must be equal",
  );
});

Deno.test("LayerNorm refuses rows of another width, such as a part of the columns", () => {
  const { heap } = makeBackend(), tape = new Tape({ backend: makeBackend(), training: true });
  const norm = new LayerNorm(Scope.root(heap, 1).child("n"), 4);
  assertThrows(
    () => norm.forward(tape, tape.input("x", [3, 2])),
    RangeError,
    "Cannot normalise x [3, 2] by n.weight [4]: the last dims must be equal",
  );
});

Deno.test("ops refuse shapes that do not fit, and name both", () => {
  const { scope, tape } = setUp();
  const x = tape.input("x", [2, 3]), y = tape.input("y", [3, 2]);
  const w = scope.parameter("head.weight", [4, 5], normal(1));
  const ids = tape.input("ids", [2], "i32");
  const cases: [() => unknown, string][] = [
    [
      () => linear(tape, x, w),
      "Cannot apply head.weight [4, 5] to x [2, 3]: the last dim of the input must be 4",
    ],
    [() => linear(tape, x, w, { outputsFirst: true }), "Cannot apply head.weight [4, 5] to x [2, 3]"],
    [() => add(tape, x, y), "Cannot add x [2, 3] and y [3, 2]: shapes must be equal"],
    [() => multiply(tape, x, y), "Cannot multiply x [2, 3] and y [3, 2]"],
    [() => reshape(tape, x, [4]), "Cannot reshape x [2, 3] to [4]: sizes differ"],
    [() => embedding(tape, ids, w, x), "Cannot add head.weight to x: its shape must be [2, 5]"],
  ];
  for (const [call, text] of cases) assertThrows(call, RangeError, text);
});

Deno.test("CausalSelfAttention attends as the hooks of its path say, unless it is told how", () => {
  const backend = phantomBackend(), paths: string[] = [], heads: number[][] = [];
  const noted: Attend = (tape, inputs) => {
    heads.push([inputs.heads, inputs.kvHeads, inputs.headDim]);
    return attend(tape, inputs);
  };
  const hooks = (path: string) => {
    paths.push(path);
    return path === "a" ? { attend: noted } : undefined;
  };
  const scope = Scope.root(backend.heap, 1, { shard: () => undefined, hooks });
  const sizes = { embed: 8, heads: 4, kvHeads: 2, residualDeviation: 0.01 };
  const [a, b] = ["a", "b"].map((name) => new CausalSelfAttention(scope.child(name), sizes));
  assertEquals(scope.parameters[0].shape, [8, 16]);
  const tape = new Tape({ backend, training: true }), x = tape.input("x", [2, 3, 8]);
  for (const layer of [a, b]) layer.forward(tape, x, x);
  a.forward(tape, x, x, attend);
  assertEquals([heads, paths.includes("b")], [[[4, 2, 2]], true]);
});

Deno.test("CausalSelfAttention refuses heads of keys that do not divide those of queries", () => {
  const scope = Scope.root(phantomBackend().heap, 1).child("attn");
  assertThrows(
    () => new CausalSelfAttention(scope, { embed: 8, heads: 4, kvHeads: 3, residualDeviation: 1 }),
    RangeError,
    "Cannot share 3 heads of keys and values among 4 heads of queries in attn: kvHeads must divide heads",
  );
});

Deno.test("attend() refuses rows that are parts of sequences", () => {
  const tape = new Tape({ backend: phantomBackend(), training: true, placement: { positions: [0, 3] } });
  const call = () => attend(tape, fusedInputs(tape.input("qkv", [1, 2, 6]), { headDim: 1, group: 1 }));
  assertThrows(call, RangeError, "Cannot attend within qkv: token 1 of a row is token 3 of its sequence");
});
