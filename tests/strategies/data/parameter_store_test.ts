import { assertEquals } from "@std/assert";
import { Gpt, gptLayers } from "../../../models/mod.ts";
import { allocateGradients, crossEntropy, Scope, Tape, type Tensor } from "../../../nn/mod.ts";
import { ParameterStore, REPLICATE, ZERO_STAGES, type ZeroStage } from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

const SIZES = { layers: 3, heads: 2, embed: 8, context: 6, vocab: 13 };

/** Loss rows and gradients of one pass, by parameter. */
type Result = { rows: Float32Array; gradients: Map<string, Float32Array> };

function pass(tape: Tape, logitsOf: (ids: Tensor) => Tensor): () => Float32Array {
  const { heap } = tape, ids = tape.constant("ids", [2, 6], "i32", (i) => (5 * i) % 13);
  const loss = crossEntropy(
    tape,
    logitsOf(ids),
    tape.constant("targets", [2, 6], "i32", (i) => (7 * i) % 13),
  );
  return () => {
    tape.forward();
    tape.backward();
    return heap.f32(loss.rows.span).slice();
  };
}

function reference(): Result {
  const backend = makeBackend(),
    { heap } = backend,
    scope = Scope.root(heap, 3),
    model = new Gpt(scope, SIZES);
  backend.fill(0, allocateGradients(heap, scope.parameters));
  const tape = new Tape({ backend, training: true });
  const rows = pass(tape, (ids) => model.logits(tape, ids))();
  return { rows, gradients: new Map(scope.parameters.map((p) => [p.name, heap.f32(p.gradient).slice()])) };
}

function stored(stage: ZeroStage, numPasses: number): Result {
  const backend = makeBackend(), { heap } = backend, allLayers = gptLayers(SIZES);
  const store = new ParameterStore({
    backend,
    group: fakeGroup(),
    zero: ZERO_STAGES[stage],
    seed: 3,
    allLayers,
    ownLayers: allLayers,
  });
  const tape = new Tape({ backend, training: true });
  const run = pass(tape, (ids) => store.layers.reduce((x, layer) => layer.forward(tape, x), ids));
  let rows = new Float32Array();
  for (let step = 0; step < 2; step++) {
    store.clearGradients();
    for (let i = 0; i < numPasses; i++) {
      store.beginPass(i === numPasses - 1);
      rows = run() as Float32Array<ArrayBuffer>;
    }
    store.finishGradients();
  }
  return {
    rows,
    gradients: new Map(store.updatePieces().map((p) => [p.parameter.name, heap.f32(p.gradient).slice()])),
  };
}

for (const stage of [0, 1] as const) {
  Deno.test(`ParameterStore in stage ${stage} on one rank has the bits of a plain model`, () => {
    const expected = reference(), actual = stored(stage, 1);
    assertEquals(actual.rows, expected.rows);
    for (const [name, gradient] of actual.gradients) {
      assertEquals(gradient, expected.gradients.get(name), name);
    }
  });
}

Deno.test("ParameterStore adds up the gradients of two passes", () => {
  const expected = reference(), actual = stored(0, 2);
  for (const [name, gradient] of actual.gradients) {
    // The second pass adds to the first, so its chains start elsewhere: equal up to rounding.
    const error = gradient.reduce(
      (max, value, i) => Math.max(max, Math.abs(value - 2 * expected.gradients.get(name)![i])),
      0,
    );
    const largest = gradient.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    assertEquals(error <= 64 * 2 ** -24 * largest, true, `${name} is off by ${error}`);
  }
});

Deno.test("chunkPieces() and updatePieces() cover the same elements on one rank", () => {
  const allLayers = gptLayers(SIZES), group = fakeGroup(), backend = makeBackend();
  const store = new ParameterStore({
    backend,
    group,
    zero: REPLICATE,
    seed: 3,
    allLayers,
    ownLayers: allLayers,
  });
  const lengths = (pieces: { values: { length: number } }[]) =>
    pieces.reduce((sum, { values }) => sum + values.length, 0);
  const total = store.parameters.reduce((sum, { span }) => sum + span.length, 0);
  assertEquals([lengths(store.chunkPieces()), lengths(store.updatePieces())], [total, total]);
  assertEquals(store.sharedNames, ["wte.weight"]);
});
