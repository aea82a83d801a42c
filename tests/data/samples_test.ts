import { assert, assertEquals, assertThrows } from "@std/assert";
import { loadSamples, type Samples } from "../../data/mod.ts";
import { UsageError } from "../../files/mod.ts";
import { resolveConfig } from "../../train/mod.ts";

const config = (options = {}) => resolveConfig({ batch: 4, ...options }, { numCores: 1 });
const SAMPLES: Samples = {
  inputs: new Float32Array(20 * 3).fill(0.5),
  inputShape: [3],
  targets: new Int32Array(20),
};

Deno.test("loadSamples() puts samples into shared memory and holds the last tenth out", () => {
  const { spec, statement } = loadSamples(SAMPLES, config());
  assert(spec.kind === "arrays");
  assert(spec.inputs.buffer instanceof SharedArrayBuffer && spec.targets.buffer instanceof SharedArrayBuffer);
  assertEquals([spec.numTrain, spec.numSamples, spec.inputs.length], [18, 20, 60]);
  assertEquals(statement, "18 samples to train, 2 to validate");
  assertEquals(
    loadSamples({ ...SAMPLES, numTrain: 20 }, config()).statement,
    "20 samples to train, 0 to validate",
  );
});

Deno.test("loadSamples() refuses samples that do not fit, each with its reason", () => {
  const refuses = (samples: Partial<Samples>, options: object, text: string) => {
    const error = assertThrows(
      () => loadSamples({ ...SAMPLES, ...samples }, config(options)),
      UsageError,
    );
    assert(error.message.includes(text), error.message);
  };
  refuses({ inputs: new Float32Array(59) }, {}, "so 60 are needed");
  refuses({ numTrain: 3 }, {}, "use at least 4 (the batch)");
  refuses({ numTrain: 21 }, {}, "at most all");
  refuses({}, { cp: 2 }, "Cannot use --cp 2 with samples");
});

const TOKENS: Samples = {
  inputs: Int32Array.from({ length: 20 }, (_, i) => i % 7),
  inputShape: [4],
  targets: Int32Array.from({ length: 20 }, (_, i) => i % 9 - 1),
  targetShape: [4],
  documents: Int32Array.from({ length: 20 }, (_, i) => i % 4 < 3 ? 0 : 3),
};

Deno.test("loadSamples() takes samples of tokens, with documents that share them", () => {
  const { spec, vocab, statement } = loadSamples(TOKENS, config());
  assert(spec.kind === "arrays" && spec.documents?.buffer instanceof SharedArrayBuffer);
  assertEquals([spec.numSamples, vocab, statement], [5, 8, "5 samples to train, 0 to validate"]);
  assertEquals(loadSamples(TOKENS, config({ vocab: 100 })).vocab, 100);
});

Deno.test("loadSamples() refuses samples of tokens that are none, and documents that begin nowhere", () => {
  const refuses = (samples: Partial<Samples>, text: string, options = {}) => {
    const error = assertThrows(
      () => loadSamples({ ...TOKENS, ...samples }, config(options)),
      UsageError,
    );
    assert(error.message.includes(text), error.message);
  };
  refuses({}, "token 7 is outside the vocabulary of 5", { vocab: 5 });
  refuses({ inputs: new Int32Array(20).fill(-2) }, "inputs[0] is -2, which is no token");
  refuses({ documents: new Int32Array(19) }, "one for each of 20 tokens");
  refuses({ documents: new Int32Array(20).fill(1) }, "documents[0] is 1");
});
