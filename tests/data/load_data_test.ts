import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadData, type Samples } from "../../data/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { resolveConfig } from "../../train/mod.ts";

const config = (options = {}) => resolveConfig({ batch: 4, ...options }, { numCores: 1 });
const SAMPLES: Samples = {
  inputs: new Float32Array(20 * 3).fill(0.5),
  inputShape: [3],
  targets: new Int32Array(20),
};

Deno.test("loadData() puts samples into shared memory and holds the last tenth out", async () => {
  const { spec, statement } = await loadData(SAMPLES, config());
  assert(spec.kind === "arrays");
  assert(spec.inputs.buffer instanceof SharedArrayBuffer && spec.targets.buffer instanceof SharedArrayBuffer);
  assertEquals([spec.numTrain, spec.numSamples, spec.inputs.length], [18, 20, 60]);
  assertEquals(statement, "18 samples to train, 2 to validate");
  assertEquals(
    (await loadData({ ...SAMPLES, numTrain: 20 }, config())).statement,
    "20 samples to train, 0 to validate",
  );
});

Deno.test("loadData() refuses samples that do not fit, each with its reason", async () => {
  const refuses = async (samples: Partial<Samples>, options: object, text: string) => {
    const error = await assertRejects(
      () => loadData({ ...SAMPLES, ...samples }, config(options)),
      UsageError,
    );
    assert(error.message.includes(text), error.message);
  };
  await refuses({ inputs: new Float32Array(59) }, {}, "so 60 are needed");
  await refuses({ numTrain: 3 }, {}, "use at least 4 (the batch)");
  await refuses({ numTrain: 21 }, {}, "at most all");
  await refuses({}, { cp: 2 }, "Cannot use --cp 2 with samples");
});

Deno.test("loadData() without a path loads Moby Dick as bytes", async () => {
  const { spec, vocab } = await loadData(undefined, config());
  assert(spec.kind === "tokens" && spec.tokens.length > 1e6);
  assertEquals(vocab, 256);
});
