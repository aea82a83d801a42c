import { assert, assertEquals, assertThrows } from "@std/assert";
import { type ArrayData, firstSample, MASKED, openSource, partOf } from "../../data/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { toShared } from "../../kernels/memory/shared.ts";
import { tokenData } from "../support/token_data.ts";

const TOKENS = tokenData(Uint16Array.from({ length: 100 }, (_, i) => i), {
  context: 4,
  train: { start: 0, end: 80 },
  validation: { start: 80, end: 100 },
});

const ARRAYS: ArrayData = {
  kind: "arrays",
  inputs: Float32Array.from({ length: 24 }, (_, i) => i),
  inputShape: [2],
  targets: Int32Array.from([0, 1, MASKED, 3, 4, 5, 6, 7, 8, MASKED, 10, 11]),
  targetShape: [],
  numTrain: 8,
  numSamples: 12,
};

const views = (inputs: number, targets: number) => ({
  inputs: new Float32Array(inputs),
  targets: new Int32Array(targets),
});

Deno.test("a token sample is a window and the window one token on", () => {
  const source = openSource(TOKENS, { order: "sequential", seed: 1, batch: 3 }), to = views(8, 8);
  source.readTraining(1, 0, 0, to);
  source.readTraining(1, 1, 1, to);
  assertEquals([...to.inputs], [12, 13, 14, 15, 16, 17, 18, 19]);
  assertEquals([...to.targets], [13, 14, 15, 16, 17, 18, 19, 20]);
  assertEquals([source.inputShape, source.targetShape, source.inputDType], [[4], [4], "i32"]);
  assertEquals([source.countTargets(0), source.countEvaluationTargets()], [12, 4 * source.numEvaluation]);
});

Deno.test("samples of several documents say where each begins, and cannot be taken apart", () => {
  const inputs = Int32Array.from({ length: 24 }, (_, i) => i), documents = inputs.map((i) => i % 2);
  const source = openSource({ ...ARRAYS, inputs, documents }, { order: "sequential", seed: 1, batch: 3 });
  assertEquals([source.hasDocuments, source.inputDType], [true, "i32"]);
  const to = { inputs: new Int32Array(4), targets: new Int32Array(2), documents: new Int32Array(4) };
  source.readTraining(0, 1, 1, to);
  assertEquals([...to.inputs, ...to.documents], [0, 0, 2, 3, 0, 0, 0, 1]);
  assertThrows(() => partOf(source, [0]), TypeError, "cannot be taken apart");
});

Deno.test("training samples never reach into the held-out tokens, evaluation samples stay there", () => {
  const source = openSource(TOKENS, { order: "shuffle", seed: 1, batch: 3 }), to = views(4, 4);
  for (let step = 0; step < 40; step++) {
    for (let i = 0; i < 3; i++) {
      source.readTraining(step, i, 0, to);
      assert(to.targets.every((token) => token < 80), `step ${step}: ${to.targets}`);
    }
  }
  assert(source.numEvaluation > 0);
  for (let i = 0; i < source.numEvaluation; i++) {
    source.readEvaluation(i, 0, to);
    assert(to.inputs.every((token) => token >= 80), `${to.inputs}`);
  }
});

Deno.test("an epoch of shuffled samples visits each one once, and the next in another order", () => {
  const source = openSource(ARRAYS, { order: "shuffle", seed: 1, batch: 4 }), to = views(2, 1);
  const epochs = [0, 1].map((epoch) =>
    [0, 1].flatMap((step) =>
      [0, 1, 2, 3].map((i) => {
        source.readTraining(2 * epoch + step, i, 0, to);
        return to.inputs[0] / 2;
      })
    )
  );
  for (const order of epochs) assertEquals([...order].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert(epochs[0].join() !== epochs[1].join() && epochs[0].join() !== "0,1,2,3,4,5,6,7");
});

Deno.test("countTargets() counts what is not masked in the samples of that step", () => {
  const source = openSource(ARRAYS, { order: "sequential", seed: 1, batch: 4 }), to = views(8, 4);
  assertEquals([source.countTargets(0), source.countTargets(1), source.countTargets(2)], [3, 4, 3]);
  for (let i = 0; i < 4; i++) source.readTraining(0, i, i, to);
  assertEquals([...to.targets], [0, 1, MASKED, 3]);
  assertEquals([source.numEvaluation, source.countEvaluationTargets()], [4, 3]);
  source.readEvaluation(1, 2, to);
  assertEquals([...to.inputs.subarray(4, 6), to.targets[2]], [18, 19, MASKED]);
});

/** A run of 10 steps with batch 2 that went on with batch 4 saw samples 40 to 59 next, in place of 20 to 39. */
Deno.test("a run that goes on with another batch sees the next samples", () => {
  const order = { order: "sequential", seed: 1 } as const, to = views(4, 4);
  for (
    const [step, batch, from, first] of [[3, 2, undefined, 6], [10, 4, { step: 10, sample: 20 }, 20], [
      12,
      4,
      { step: 10, sample: 20 },
      28,
    ]] as const
  ) {
    assertEquals(firstSample(step, { batch, from }), first);
    using source = openSource({ ...TOKENS, train: { start: 0, end: 80 } }, { ...order, batch, from });
    source.readTraining(step, 1, 0, to);
    assertEquals(to.inputs[0], (first + 1) % 19 * 4);
  }
});

/** Files above 64 MiB are looked at in part before a run. */
Deno.test("a token outside the vocabulary that is met while training is named, with its position", () => {
  using source = openSource({ ...TOKENS, vocab: 14 }, { order: "sequential", seed: 1, batch: 1 });
  source.readTraining(0, 0, 0, views(4, 4));
  assertThrows(
    () => source.readTraining(3, 0, 0, views(4, 4)),
    UsageError,
    "test: token 14 at position 14 is outside",
  );
});

Deno.test("toShared() copies into shared memory", () => {
  const values = Float32Array.from([1, 2, 3]), shared = toShared(values);
  values[0] = 9;
  assertEquals([...shared], [1, 2, 3]);
  assert(shared.buffer instanceof SharedArrayBuffer);
  assertEquals([...toShared(Int32Array.from([-1]))], [-1]);
});
