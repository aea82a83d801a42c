/** A model whose norms are RMSNorm, on layouts, in other precisions and as a graph, against one device. */
import { assert, assertEquals } from "@std/assert";
import type { TrainOptions } from "../../train/mod.ts";
import { runToEnd } from "../train/support/runs.ts";

const MODEL = {
  model: import.meta.resolve("../train/support/rms_model.ts"),
  modelConfig: { blocks: 2, heads: 4, embed: 32, vocab: 256 },
};
const RECIPE = { batch: 8, steps: 3, lr: 0.01, warmup: 1, gradClip: 0.5, evalEvery: 0 } as const;

/** Losses and gradient norms of a run of three steps on the first bytes of Moby Dick. */
async function numbersOf(options: TrainOptions) {
  const memory = { context: 16, deviceMemory: "24MiB" };
  const { losses, gradNorms, lossHash } = await runToEnd({
    ...MODEL,
    ...RECIPE,
    ...memory,
    dp: 1,
    ...options,
  });
  return { losses, gradNorms, lossHash };
}

/** Largest error of losses and of gradient norms, as a part of those on one device. */
async function errorsOf(
  options: TrainOptions,
): Promise<[loss: number, norm: number]> {
  const want = await numbersOf({}), got = await numbersOf(options);
  const error = (of: "losses" | "gradNorms") =>
    Math.max(...got[of].map((value, step) => Math.abs(value / want[of][step] - 1)));
  return [error("losses"), error("gradNorms")];
}

Deno.test("RMSNorm with exact numerics has the bits of one device on every layout", async (t) => {
  const wanted = await numbersOf({ numerics: "exact" });
  const layouts = [
    ...[{ dp: 4 }, { microBatch: 1 }, { dp: 2, microBatch: 2, zero: 2 }, { tp: 2 }, { tp: 4, sp: true }],
    ...[{ cp: 4 }, { cp: 2, tp: 2, sp: true, zero: 3, dp: 2 }, { recompute: "full", dp: 2, zero: 3 }],
    ...[{ pp: 2, microBatch: 1, schedule: "zero-bubble" }, { pp: 2, tp: 2, microBatch: 2, sp: true }],
  ] as const;
  for (const layout of layouts) {
    await t.step(JSON.stringify(layout), async () => {
      assertEquals(await numbersOf({ numerics: "exact", ...layout }), wanted);
    });
  }
});

Deno.test("RMSNorm under sequence parallelism has the losses of one device", async () => {
  // Sums of at most 128 terms in another order, 8 in each of 2 blocks: see tensor_parallel_test.ts. After three steps of
  // AdamW, whose update is that of a sign where gradients are small, differences have grown.
  const [loss, norm] = await errorsOf({ tp: 2, sp: true });
  assert(loss < 1e-5 && norm < 1e-4, `${loss}, ${norm}`);
});

Deno.test("RMSNorm is recomputed with the bits of what was kept", async () => {
  assertEquals(await numbersOf({ recompute: "full" }), await numbersOf({}));
});

Deno.test("RMSNorm in bf16 has the losses of float32 to some bits of bf16", async () => {
  const [loss, norm] = await errorsOf({ precision: "bf16" });
  assert(loss < 2 ** -8 && norm < 2 ** -5, `${loss}, ${norm}`);
});

Deno.test("RMSNorm trains as a graph of ONNX operators", async () => {
  const [loss, norm] = await errorsOf({ kernels: "onnx" });
  assert(loss < 5e-6 && norm < 5e-5, `${loss}, ${norm}`);
});
