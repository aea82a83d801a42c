import { assert, assertEquals } from "@std/assert";
import { gpt, loadModel } from "../../../models/mod.ts";
import { openSource } from "../../../data/mod.ts";
import { forwardPasses, measureLayers, median } from "../../../train/mod.ts";
import { tinyClassifier } from "../support/runs.ts";
import { tokenData } from "../../support/token_data.ts";

const CONFIG = { microBatch: 2, kernels: "wasm", recompute: "none", seed: 1 } as const;
const ORDER = { order: "sequential", seed: 1, batch: 2 } as const;

Deno.test("measureLayers() times every layer, equal ones alike", async () => {
  const sizes = { layers: 3, heads: 2, embed: 32, context: 32, vocab: 64 },
    parts = await loadModel(gpt(sizes));
  const data = tokenData(new Uint16Array(100), { context: 32 });
  const source = openSource(data, ORDER), times = measureLayers(parts, source, CONFIG);
  assertEquals(times.length, 5);
  assert(times.every((ms) => ms > 0 && ms < 1000), `${times}`);
  assertEquals([times[2], times[3]], [times[1], times[1]]);
  assert(times[1] > times[0], "a block takes longer than the embedding");
});

Deno.test("measureLayers() times a model that is one layer, with its loss", async () => {
  const { model, modelConfig, data } = tinyClassifier({ inputs: 6, hidden: 8, classes: 3 });
  const parts = await loadModel({ module: model as string, config: modelConfig });
  const { inputs, inputShape, targets } = data as {
    inputs: Float32Array;
    inputShape: number[];
    targets: Int32Array;
  };
  const arrays = {
    kind: "arrays",
    inputs,
    inputShape,
    targets,
    targetShape: [],
    numTrain: 64,
    numSamples: 64,
  } as const;
  const [ms] = measureLayers(parts, openSource(arrays, ORDER), CONFIG);
  assert(ms > 0 && ms < 1000, `${ms}`);
});

Deno.test("forwardPasses() counts the second one of a block that is recomputed", () => {
  const counts = (["none", "selective", "full"] as const).map((mode) =>
    forwardPasses({ isRecomputable: true }, mode)
  );
  assertEquals([...counts, forwardPasses({}, "full")], [1, 1, 2, 1]);
});

Deno.test("median() is the middle value, or the mean of the two in the middle", () => {
  assertEquals([median([3]), median([9, 1, 2]), median([4, 1, 9, 2])], [3, 2, 3]);
});
