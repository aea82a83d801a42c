import { now } from "../../kernels/mod.ts";
import { type LoadedTensor, readSafetensors } from "../../files/mod.ts";
import { serve } from "../serve.ts";
import type { StepAnswer, StepSetUp, StepTask } from "../step/step_task.ts";

/** What a peer builds its model from. */
export interface PeerProblem extends StepSetUp {
  /** By GPT-2 name; linear layers are stored [in, out]. */
  readonly weights: ReadonlyMap<string, LoadedTensor>;
}

/** One step of a peer: forward, backward and update number `step`, from 1; returns the loss. */
export type PeerStep = (
  batch: { readonly inputs: Int32Array; readonly targets: Int32Array },
  step: number,
) => Promise<number>;

/** Serves the steps of a peer on the batches of the problem. */
export function serveSteps(build: (problem: PeerProblem) => Promise<PeerStep>): Promise<void> {
  return serve(async (setUp: StepSetUp) => {
    const { folder, model: { batch, context } } = setUp;
    const weights = await readSafetensors(`${folder}/weights.safetensors`);
    const tokens = new Int32Array((await Deno.readFile(`${folder}/tokens.bin`)).buffer);
    const step = await build({ ...setUp, weights }), length = batch * context;
    let made = 0;
    return async ({ warmUps, steps }: StepTask): Promise<StepAnswer> => {
      const ms: number[] = [], losses: number[] = [];
      for (let i = 0; i < warmUps + steps; i++) {
        const first = made++ * length, batchAt = (start: number) => tokens.subarray(start, start + length);
        const start = now();
        losses.push(await step({ inputs: batchAt(first), targets: batchAt(first + 1) }, made));
        if (i >= warmUps) ms.push(now() - start);
      }
      return { ms, losses };
    };
  });
}
