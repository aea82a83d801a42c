/** The golden run with the kernels that round otherwise than the expected numbers allow for in float32. */
import { assert, assertEquals } from "@std/assert";
import { prepareTraining, startTraining, type StepRecord, type TrainOptions } from "../../train/mod.ts";
import { pool } from "./pool.ts";

const GOLDEN = new URL("../golden/gpt2-tiny/", import.meta.url).pathname;
const { recipe, losses, grad_norms: norms } = JSON.parse(await Deno.readTextFile(`${GOLDEN}expected.json`));

/** The options that make the run. */
export const GOLDEN_OPTIONS = {
  ...{ data: `${GOLDEN}tokens.bin`, init: `${GOLDEN}init`, order: "sequential", evalEvery: 0 },
  ...{ batch: recipe.batch, steps: recipe.steps, warmup: recipe.warmup, lr: recipe.lr },
  ...{ minLr: recipe.min_lr, weightDecay: recipe.weight_decay, gradClip: recipe.grad_clip },
} as TrainOptions;

/** Parameters of the golden model. */
export const GOLDEN_PARAMETERS = 120576;

/** Runs it, or its first steps, and compares losses and norms; bounds are relative. */
export async function checkGolden(
  options: TrainOptions,
  bounds: { loss: number; norm: number },
  numSteps: number = losses.length,
): Promise<StepRecord[]> {
  const records: StepRecord[] = [];
  for await (
    const step of await startTraining(await prepareTraining({ ...GOLDEN_OPTIONS, pool, ...options }))
  ) {
    records.push(step);
    if (records.length === numSteps) break;
  }
  assertEquals(records.length, numSteps);
  for (const { step, loss, gradNorm } of records) {
    const lossError = Math.abs(loss / losses[step] - 1), normError = Math.abs(gradNorm / norms[step] - 1);
    assert(lossError <= bounds.loss, `loss of step ${step} is off by ${lossError} (relative)`);
    assert(normError <= bounds.norm, `gradient norm of step ${step} is off by ${normError} (relative)`);
  }
  return records;
}
