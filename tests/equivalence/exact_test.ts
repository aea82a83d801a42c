import { assertEquals, assertNotEquals } from "@std/assert";
import { gpt, type TrainOptions } from "../../mod.ts";
import { runToEnd } from "../train/support/runs.ts";

const MODEL = { layers: 2, heads: 4, embed: 32, context: 16 };
const RECIPE = { steps: 3, lr: 0.01, warmup: 1, gradClip: 0.5, evalEvery: 0, deviceMemory: "24MiB" } as const;

type Options = Omit<TrainOptions, "model" | "data">;

async function numbersOf(model: Parameters<typeof gpt>[0], options: Options) {
  const { losses, gradNorms, lossHash } = await runToEnd({
    model: gpt(model),
    numerics: "exact",
    ...RECIPE,
    ...options,
  });
  return { losses, gradNorms, lossHash };
}

/** Every run must have the numbers of the first one, to the last bit. */
function sameBits(
  name: string,
  model: Parameters<typeof gpt>[0],
  batch: number,
  layouts: readonly Options[],
): void {
  Deno.test(`exact numerics: ${name} has the bits of one device on every layout`, async (t) => {
    const wanted = await numbersOf(model, { batch, dp: 1 });
    for (const layout of layouts) {
      await t.step(JSON.stringify(layout), async () => {
        assertEquals(await numbersOf(model, { batch, dp: 1, ...layout }), wanted);
      });
    }
  });
}

sameBits("a GPT", MODEL, 8, [
  { dp: 4 },
  { microBatch: 1 },
  { dp: 2, microBatch: 3, zero: 1 },
  { dp: 2, microBatch: 2, zero: 2 },
  { tp: 2 },
  { tp: 4, sp: true },
  { cp: 4 },
  { cp: 2, tp: 2, sp: true, zero: 3, dp: 2 },
  { pp: 2, tp: 2, dp: 2, microBatch: 2 },
  { pp: 2, microBatch: 1, schedule: "gpipe" },
  { pp: 2, microBatch: 1, schedule: "interleaved", virtualStages: 2 },
  { pp: 2, microBatch: 1, schedule: "zero-bubble" },
  { pp: 3, microBatch: 2, recompute: "selective" },
  { recompute: "full", dp: 2, zero: 3 },
]);

sameBits("a mixture of experts", { ...MODEL, experts: 4, topKExperts: 2 }, 8, [
  { dp: 2, microBatch: 1 },
  { ep: 4 },
  { ep: 2, tp: 2, sp: true, zero: 3 },
  { ep: 2, dp: 2, pp: 2, microBatch: 1 },
  { cp: 2, recompute: "full" },
  { tp: 4 },
]);

sameBits("a batch of five sequences", MODEL, 5, [
  { dp: 4 },
  { microBatch: 1, dp: 2 },
  { cp: 2, dp: 2, tp: 2, sp: true },
  { pp: 2, microBatch: 1, schedule: "zero-bubble" },
]);

sameBits("a sequence that eighths do not divide", { ...MODEL, context: 12 }, 4, [{ dp: 2 }, { tp: 2 }, {
  pp: 2,
  microBatch: 1,
}]);

sameBits("a model with heads for two devices only", { ...MODEL, heads: 6, embed: 48 }, 4, [{
  tp: 2,
  sp: true,
}, { dp: 4 }]);

Deno.test("fast numerics are those of the layout: what exact numerics are compared with could differ", async () => {
  const [one, four] = await Promise.all(
    [{ dp: 1 }, { dp: 1, tp: 4 }].map((layout) =>
      numbersOf(MODEL, { batch: 8, ...layout, numerics: "fast" })
    ),
  );
  assertNotEquals(one.losses, four.losses);
});
