import { assert, assertEquals, assertThrows } from "@std/assert";
import { constant, normal, type Parameter, RandomStream, Scope, uniform } from "../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../support/device.ts";

const valuesOf = (heap: ReturnType<typeof makeBackend>["heap"], { span }: Parameter) =>
  heap.f32(span).slice();

Deno.test("Scope names parameters by path, in order of creation", () => {
  const root = Scope.root(phantomBackend().heap, 1), block = root.child("h").child("0");
  block.parameter("weight", [2, 3], constant(1));
  root.parameter("bias", [3], constant(0));
  assertEquals(root.parameters.map(({ name }) => name), ["h.0.weight", "bias"]);
  assertEquals([block.path, root.path], ["h.0", ""]);
});

Deno.test("Scope refuses a second parameter of the same name", () => {
  const root = Scope.root(phantomBackend().heap, 1);
  root.child("a").parameter("w", [1], constant(1));
  assertThrows(
    () => root.child("a").parameter("w", [1], constant(1)),
    TypeError,
    "Cannot make parameter a.w",
  );
});

Deno.test("Scope shared() gives one parameter to everybody who asks", () => {
  const root = Scope.root(phantomBackend().heap, 1);
  const first = root.child("head").shared("wte.weight", [4, 2], normal(1));
  assertEquals(root.child("wte").shared("wte.weight", [4, 2], normal(1)) === first, true);
  assertEquals(root.parameters.map(({ name }) => name), ["wte.weight"]);
});

Deno.test("Scope fills a parameter from (seed, name, element), whatever was made before", () => {
  const { heap } = makeBackend(), one = Scope.root(heap, 9), other = Scope.root(heap, 9);
  const first = one.child("a").parameter("w", [3, 5], normal(0.5));
  other.parameter("something", [100], uniform(1));
  const second = other.child("a").parameter("w", [3, 5], normal(0.5));
  assertEquals(valuesOf(heap, second), valuesOf(heap, first));
  const stream = new RandomStream(9, "a.w");
  assertEquals(valuesOf(heap, first), Float32Array.from({ length: 15 }, (_, i) => 0.5 * stream.normal(i)));
  const third = Scope.root(heap, 10).child("a").parameter("w", [3, 5], normal(0.5));
  assert(valuesOf(heap, third)[0] !== valuesOf(heap, first)[0]);
});

Deno.test("uniform() stays within its bound, constant() is constant", () => {
  const { heap } = makeBackend(), scope = Scope.root(heap, 9);
  const values = valuesOf(heap, scope.parameter("u", [1000], uniform(0.25)));
  assert(values.every((value) => value >= -0.25 && value < 0.25) && values.some((value) => value < -0.2));
  assertEquals([...valuesOf(heap, scope.parameter("c", [3], constant(1.5)))], [1.5, 1.5, 1.5]);
});

/** Half a minute of random numbers for GPT-2 small, which its weights then replaced. */
Deno.test("Scope without a seed leaves memory as it is, for values that are loaded", () => {
  const { heap } = makeBackend(), scope = Scope.of({ heap, seed: undefined });
  const { span } = scope.parameter("w", [4], () => {
    throw new Error("nobody asks for a value");
  });
  assertEquals([...heap.f32(span)], [0, 0, 0, 0]);
});
