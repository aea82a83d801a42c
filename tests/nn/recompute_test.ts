import { assert, assertEquals } from "@std/assert";
import { Gpt } from "../../models/mod.ts";
import {
  allocateGradients,
  crossEntropy,
  GradientArena,
  type Recompute,
  Scope,
  SegmentMemory,
  Tape,
} from "../../nn/mod.ts";
import { makeBackend, phantomBackend } from "../support/device.ts";
import type { Backend } from "../../kernels/mod.ts";

const SIZES = { layers: 4, heads: 2, embed: 16, context: 8, vocab: 11 };

function run(backend: Backend, mode: Recompute) {
  const { heap } = backend,
    scope = Scope.root(heap, 3),
    model = new Gpt(scope, SIZES),
    memory = new SegmentMemory(heap);
  const gradients = allocateGradients(heap, scope.parameters), segmentArena = new GradientArena(heap);
  const makeInner = () => {
    memory.begin();
    const allocate = memory.allocate.bind(memory);
    return new Tape({ backend, training: true, arena: segmentArena, allocate });
  };
  const tape = new Tape({ backend, training: true, recompute: { mode, makeInner } });
  const ids = tape.constant("ids", [3, 8], "i32", (i) => (5 * i) % 11);
  const loss = crossEntropy(
    tape,
    model.logits(tape, ids),
    tape.constant("targets", [3, 8], "i32", (i) => (7 * i) % 11),
  );
  tape.plan();
  const { activations } = heap.usedBytes();
  if (heap.memory === undefined) return { activations, rows: undefined, block: undefined };
  backend.fill(0, gradients);
  tape.forward();
  tape.backward();
  return { activations, rows: heap.f32(loss.rows.span).slice(), block: heap.f32(gradients).slice() };
}

Deno.test("recomputed() gives the bits of kept activations, also in a second step", () => {
  const kept = run(makeBackend(), "none"), again = run(makeBackend(), "selective");
  assertEquals(again.rows, kept.rows);
  assertEquals(again.block, kept.block);
});

Deno.test("recomputed() keeps fewer activations", () => {
  const kept = run(phantomBackend(), "none").activations,
    again = run(phantomBackend(), "selective").activations;
  // Of four blocks' feed-forward activations (9 widths a token each, norm included) one set is left.
  assert(again < 0.75 * kept, `${again} of ${kept} bytes`);
});

Deno.test("SegmentMemory gives segments of equal shapes the same places", () => {
  const memory = new SegmentMemory(makeBackend().heap);
  memory.begin();
  const first = [memory.allocate("a", 10, "f32"), memory.allocate("b", 20, "i32")];
  memory.begin();
  assertEquals([memory.allocate("a", 10, "f32"), memory.allocate("b", 20, "i32")], first);
});
