/** What a tape, an optimizer and a scope make of bf16. */
import { assert, assertEquals } from "@std/assert";
import { bf16Backend, type Precision, readElements, writeElements } from "../../kernels/mod.ts";
import { Gpt } from "../../models/mod.ts";
import {
  AdamW,
  crossEntropy,
  GradientArena,
  normal,
  Parameter,
  RandomStream,
  Scope,
  Tape,
} from "../../nn/mod.ts";
import { makeBackend } from "../support/device.ts";

const SIZES = { layers: 2, heads: 2, embed: 32, context: 16, vocab: 40 };

/** One forward and backward pass of a small GPT. */
function run(precision: Precision) {
  const backend = bf16Backend(makeBackend()), { heap } = backend, rows = 2 * SIZES.context;
  const allocate = (name: string, length: number) => heap.allocate(name, length, "parameters", precision);
  const scope = Scope.of({ heap, seed: 1, allocate }), model = new Gpt(scope, SIZES);
  for (const parameter of scope.parameters) {
    parameter.gradient = heap.allocate("gradient", parameter.span.length, "gradients", precision);
    backend.fill(0, parameter.gradient);
  }
  const tape = new Tape({ backend, training: true, placement: { precision } });
  const ids = tape.input("ids", [2, SIZES.context], "i32"),
    targets = tape.input("targets", [2, SIZES.context], "i32");
  const loss = crossEntropy(tape, model.logits(tape, ids), targets), stream = new RandomStream(1, "ids");
  for (const { span } of [ids, targets]) {
    heap.i32(span).forEach((_, i, all) => all[i] = stream.below(i, SIZES.vocab));
  }
  tape.plan();
  tape.forward();
  tape.backward();
  const gradients = scope.parameters.map(({ gradient }) => readElements(heap, gradient).slice());
  return { heap, tape, loss, gradients, mean: backend.sum(loss.rows.span) / rows, used: heap.usedBytes() };
}

Deno.test("a bf16 tape has half the activations, and the loss and gradients of float32 to some bits of bf16", () => {
  const wide = run("f32"), half = run("bf16");
  assertEquals([half.loss.rows.dtype, half.tape.precision], ["f32", "bf16"]);
  assert(half.used.activations < 0.53 * wide.used.activations, `${half.used.activations} bytes`);
  assertEquals(2 * half.used.gradients, wide.used.gradients);
  assert(Math.abs(half.mean / wide.mean - 1) < 2 ** -8, `${half.mean}, ${wide.mean}`);
  half.gradients.forEach((gradient, i) => {
    const largest = Math.max(...wide.gradients[i].map(Math.abs));
    const error = Math.max(...gradient.map((x, j) => Math.abs(x - wide.gradients[i][j])));
    // A dozen roundings of 2^-9 on the way.
    assert(error <= 12 * 2 ** -9 * largest, `gradient ${i}: off by ${error} of ${largest}`);
  });
});

Deno.test("AdamW keeps a float32 master of a bf16 parameter, and updates it", () => {
  const backend = bf16Backend(makeBackend()), { heap } = backend;
  const span = heap.allocate("w", 3, "parameters", "bf16"),
    gradient = heap.allocate("g", 3, "gradients", "bf16");
  writeElements(heap, span, [1, -2, 0.5]);
  writeElements(heap, gradient, [1, 1, -1]);
  const target = { name: "w", span, gradient, isDecayed: false };
  const optimizer = new AdamW(backend, [target], { beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0 });
  const { master } = optimizer.moments.get(target)!;
  for (let step = 1; step <= 3; step++) optimizer.update(step, 2 ** -12, 1);
  const moved = 3 * 2 ** -12;
  assertEquals([...heap.f32(master!)], [1 - moved, -2 - moved, 0.5 + moved]);
  assertEquals([...readElements(heap, span)], [1, -2, 0.5]);
  assertEquals(heap.usedBytes().optimizer, 3 * 64);
});

Deno.test("Scope rounds the start of a bf16 parameter", () => {
  const { heap } = makeBackend();
  const allocate = (name: string, length: number) => heap.allocate(name, length, "parameters", "bf16");
  const [half, wide] = [Scope.of({ heap, seed: 7, allocate }), Scope.root(heap, 7)].map((scope) =>
    scope.parameter("w", [5, 7], normal(1))
  );
  const rounded = heap.allocate("rounded", 35, "parameters", "bf16");
  writeElements(heap, rounded, heap.f32(wide.span));
  assertEquals(heap.u16(half.span), heap.u16(rounded));
  assert(half instanceof Parameter);
});

Deno.test("GradientArena gives a block to gradients of its own type only", () => {
  const { heap } = makeBackend(), arena = new GradientArena(heap);
  const first = arena.take("x", 8, "bf16");
  arena.give(first);
  assertEquals(arena.take("y", 8).byteOffset === first.byteOffset, false);
  assertEquals(arena.take("y", 8, "bf16"), first);
});
