import { assertEquals, assertThrows } from "@std/assert";
import { allocateGradients, crossEntropy, linear, normal, Scope, Tape } from "../../../nn/mod.ts";
import { ownIds, vocabParallelCrossEntropy } from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

Deno.test("ownIds() gives places in this device's rows, and -1 for those of others", () => {
  const backend = makeBackend(), { heap } = backend, tape = new Tape({ backend, training: true });
  const ids = tape.input("ids", [2, 3], "i32"), range = { start: 4, end: 7, total: 10 };
  const own = ownIds(tape, ids, range, "wte");
  heap.i32(ids.span).set([3, 4, 6, 7, -1, 9]);
  tape.forward();
  assertEquals([...heap.i32(own.span)], [-1, 0, 2, -1, -1, -1]);
  heap.i32(ids.span)[5] = 10;
  assertThrows(() => tape.forward(), RangeError, "Cannot find id 10 at row 5 in wte: it has 10 classes");
});

Deno.test("vocabParallelCrossEntropy() over one device has the bits of crossEntropy(), masked rows and scale too", () => {
  const run = (isSpread: boolean) => {
    const backend = makeBackend(), { heap } = backend, scope = Scope.root(heap, 2);
    const x = scope.parameter("x", [5, 8], normal(1)), w = scope.parameter("w", [8, 11], normal(1));
    const block = allocateGradients(heap, [x, w]);
    backend.fill(0, block);
    const tape = new Tape({ backend, training: true }), targets = tape.input("targets", [5], "i32");
    heap.i32(targets.span).set([0, 10, -1, 5, 7]);
    const group = fakeGroup(), range = { start: 0, end: 11, total: 11 };
    const logits = linear(tape, x, w);
    const loss = isSpread
      ? vocabParallelCrossEntropy(tape, logits, targets, { group, label: "head", range })
      : crossEntropy(tape, logits, targets);
    assertEquals(loss.scale, 1 / 5);
    loss.scale = 0.25;
    tape.forward();
    tape.backward();
    return { losses: heap.f32(loss.rows.span).slice(), gradients: heap.f32(block).slice() };
  };
  assertEquals(run(true), run(false));
});
