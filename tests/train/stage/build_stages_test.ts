import { assertEquals } from "@std/assert";
import { gpt } from "../../../models/mod.ts";
import { makeSchedule, Pipeline } from "../../../strategies/mod.ts";
import { openSource } from "../../../data/mod.ts";
import { resolveConfig } from "../../../train/mod.ts";
import { buildStages } from "../../../train/stage/build_stages.ts";
import { loadModel } from "../../../models/model_parts.ts";
import { fakeGroup } from "../../strategies/support/fake_group.ts";
import { makeBackend } from "../../support/device.ts";
import { tokenData } from "../../support/token_data.ts";

const SIZES = { layers: 4, heads: 2, embed: 8, context: 6, vocab: 13 };
const DATA = tokenData(new Uint16Array(100), { context: 6 });

Deno.test("buildStages() gives each device of a pipeline the layers of its stages", async () => {
  const parts = await loadModel(gpt(SIZES)), config = resolveConfig({ ...SIZES, batch: 4 }, { numCores: 1 });
  const source = openSource(DATA, { order: "sequential", seed: 1, batch: 4 });
  const names = [0, 1].map((index) => {
    const pipeline = new Pipeline(fakeGroup(2, index), makeSchedule("interleaved", { p: 2, m: 2, v: 2 }));
    const groupOf = () => fakeGroup(), backend = makeBackend();
    const stages = buildStages({ backend, config, seed: 1, parts, source, pipeline, groupOf });
    return [...stages].map((
      [stage, { store }],
    ) => [stage, new Set(store.parameters.map(({ name }) => name.slice(0, 3)))]);
  });
  assertEquals(names, [
    [[0, new Set(["wte", "wpe"])], [2, new Set(["h.2"])]],
    [[1, new Set(["h.0", "h.1"])], [3, new Set(["h.3", "ln_", "wte"])]],
  ]);
});
