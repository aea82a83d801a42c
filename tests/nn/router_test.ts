import { assert, assertEquals, assertThrows } from "@std/assert";
import { crossEntropy, dispatchTokens, expertCapacity, groupedLinear, linear, normal } from "../../nn/mod.ts";
import { combineTokens, route, type RouterOptions, routeSizes, Scope, Tape } from "../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../support/device.ts";

const OPTIONS: RouterOptions = {
  ...{ name: "router", choices: 2, capacityFactor: 1.25, auxLossCoefficient: 0.01, deadExperts: [] },
};

Deno.test("expertCapacity() is the ceiling of the even share times the factor, at most the unit", () => {
  const capacity = (capacityFactor: number, choices: number, unitTokens: number, experts: number) =>
    expertCapacity({ capacityFactor, choices }, { unitTokens, experts });
  assertEquals(capacity(1, 1, 32, 4), 8);
  assertEquals(capacity(1.25, 1, 32, 4), 10);
  assertEquals(capacity(1.25, 2, 5, 8), 2);
  assertEquals(capacity(1.1, 1, 10, 1), 10);
  assertEquals(capacity(1.1, 1, 40, 4), 11);
  assertEquals(capacity(100, 2, 6, 4), 6);
  assertEquals(capacity(0.01, 1, 6, 4), 1);
});

Deno.test("routeSizes() cuts sequences into eighths, or leaves them whole", () => {
  const backend = phantomBackend(),
    sizes = (steps: number, unitsPerRow?: number) => {
      const tape = new Tape({ backend, training: true, placement: { unitsPerRow } });
      const { units, unitTokens } = routeSizes(tape, tape.input("logits", [3, steps, 4]), OPTIONS);
      return [units, unitTokens];
    };
  assertEquals(sizes(64), [24, 8]);
  assertEquals(sizes(8), [24, 1]);
  assertEquals(sizes(60), [3, 60]);
  assertEquals(sizes(1), [3, 1]);
  // Two devices share each sequence of 64: four eighths each.
  assertEquals(sizes(32, 4), [12, 8]);
  assertThrows(
    () => sizes(30, 4),
    RangeError,
    "Cannot route logits [3, 30, 4]: a sequence that is spread over devices must have a multiple of 8 tokens",
  );
});

Deno.test("the scale of the main loss is that of the auxiliary losses of its tape", () => {
  const backend = phantomBackend(), scope = Scope.root(backend.heap, 1);
  const tape = new Tape({ backend, training: true });
  assertEquals(tape.lossScale, 1);
  const logits = linear(tape, tape.input("x", [5, 3]), scope.parameter("weight", [3, 4], normal(1)));
  const loss = crossEntropy(tape, logits, tape.input("targets", [5], "i32"));
  assertEquals([loss.scale, tape.lossScale], [1 / 5, 1 / 5]);
  loss.scale = 1 / 20;
  assertEquals([loss.scale, tape.lossScale], [1 / 20, 1 / 20]);
});

Deno.test("a tape that releases its memory forgets its auxiliary losses", () => {
  const backend = makeBackend("reference"), { heap } = backend;
  const tape = new Tape({ backend, training: true }), before = heap.totalBytes;
  route(tape, tape.input("logits", [1, 8, 4]), OPTIONS);
  assertEquals(tape.auxiliary.map(({ name }) => name), ["router"]);
  tape.release();
  assertEquals([tape.auxiliary.length, heap.totalBytes], [0, before]);
});

for (const name of ["reference", "wasm"] as const) {
  Deno.test(`combineTokens() of what dispatchTokens() sent gives every token itself, on ${name}`, () => {
    const backend = makeBackend(name), { heap } = backend, tape = new Tape({ backend, training: false });
    const logits = tape.input("logits", [2, 16, 4]), x = tape.input("x", [2, 16, 3]);

    const plan = route(tape, logits, { ...OPTIONS, capacityFactor: 4 });
    const rows = dispatchTokens(tape, x, plan), out = combineTokens(tape, rows, plan, { shape: x.shape });
    assertEquals(rows.shape, [4, 16, 2, 3]);
    heap.f32(logits.span).forEach((_, i, all) => all[i] = Math.sin(7 * i));
    heap.f32(x.span).forEach((_, i, all) => all[i] = Math.cos(i));
    tape.forward();
    // The weights of a token's two choices add up to 1.
    heap.f32(out.span).forEach((value, i) => assert(Math.abs(value - Math.cos(i)) < 1e-6));
  });
}

Deno.test("groupedLinear() refuses shapes that do not fit", () => {
  const backend = phantomBackend(), scope = Scope.root(backend.heap, 1);
  const tape = new Tape({ backend, training: false }), x = tape.input("rows", [3, 2, 5]);
  const weights = [0, 1].map((e) => scope.parameter(`experts.${e}.weight`, [5, 7], normal(1)));
  const call = () => groupedLinear(tape, x, { weights, biases: [] });
  const text = "Cannot apply 2 weights [5, 7] to rows [3, 2, 5]: it must be [2, ..., 5]";
  assertThrows(call, RangeError, text);
});
