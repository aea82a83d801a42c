/**
 * What all contestants of `bench step` start from: weights and tokens in a folder of their own.
 *
 * With the same weights, batches and optimizer every contestant must have our losses; `checkLosses` says so.
 *
 * @module
 */
import { createDeviceMemory, DeviceHeap } from "../../kernels/mod.ts";
import { familyNamed } from "../../models/mod.ts";
import { Scope } from "../../nn/mod.ts";
import { loadCorpus, openTokens } from "../../data/mod.ts";
import { writeSafetensors } from "../../files/mod.ts";
import type { StepModel } from "./step_task.ts";

const SEED = 1337;
const WEIGHT_BYTES = 256 * 2 ** 20;

/** Writes the weights that our training starts from, under their names in files, and the first tokens of Moby Dick. */
export async function writeProblem(folder: string, model: StepModel, steps: number): Promise<void> {
  const heap = new DeviceHeap({ capBytes: WEIGHT_BYTES, memory: createDeviceMemory(WEIGHT_BYTES) });
  const scope = Scope.of({ heap, seed: SEED });
  const family = familyNamed(model.model ?? "gpt2")!;
  family.layers(family.configure(model, undefined)).forEach((layer) => layer.build(scope));
  const tensors = scope.parameters.map(({ name, shape, span }) => ({
    name,
    shape,
    data: heap.f32(span).slice(),
  }));
  await writeSafetensors(`${folder}/weights.safetensors`, tensors);
  const { context, batch, vocab } = model, numTokens = steps * batch * context + 1;
  const { tokens } = await loadCorpus(undefined, { vocab, context, batch, minTrainTokens: numTokens });
  using reader = openTokens(tokens);
  await Deno.writeFile(
    `${folder}/tokens.bin`,
    new Uint8Array(Int32Array.from(reader.read(0, numTokens)).buffer),
  );
}

/** Options of our training that read the same weights and batches. */
export const PROBLEM_OPTIONS = { seed: SEED, order: "sequential" } as const;

/** Rounding apart, the same steps give the same losses. */
const TOLERANCE = 1e-3;

/** Complains about a contestant whose losses are not those of the first, over the steps that both made. */
export function checkLosses(losses: ReadonlyMap<string, readonly number[]>): void {
  const [[firstName, expected], ...others] = losses;
  for (const [name, actual] of others) {
    const step = actual.findIndex((loss, i) =>
      i < expected.length && !(Math.abs(loss - expected[i]) <= TOLERANCE)
    );
    if (step < 0) continue;
    throw new Error(
      `The loss of step ${step} of ${name} is ${actual[step]}, that of ${firstName} is ${expected[step]}: ` +
        `they do not train the same model`,
    );
  }
}
