import { openAdapters } from "../../adapters/mod.ts";
import type { LoadedModel } from "../../checkpoint/mod.ts";
import { readTensor } from "../../files/mod.ts";
import { createBackend, createDeviceMemory, DeviceHeap } from "../../kernels/mod.ts";
import { loadModel, modelOf } from "../../models/mod.ts";
import { Scope, Tape } from "../../nn/mod.ts";

/** Logits after each of some tokens, in one pass without a cache; of a model, or of one with an adapter. */
export async function wholeScores(
  { family, config, weights }: LoadedModel,
  tokens: readonly number[],
  adapter?: string,
): Promise<Float32Array[]> {
  const adapters = adapter === undefined ? undefined : await openAdapters(adapter, { family, config });
  const capBytes = 2 ** 30, heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  const tuning = adapters && { adapters: adapters.sizes };
  const { layers } = await loadModel({ ...modelOf(family, config), tuning });
  const scope = Scope.of({ heap, seed: undefined }), { length } = tokens;
  // Each token is a unit of its own, whose experts have room for it.
  const placement = { unitsPerRow: length };
  const tape = new Tape({ backend: createBackend("wasm", heap), training: false, placement });
  const ids = tape.input("ids", [1, length], "i32");
  let x = ids;
  for (const layer of layers) x = layer.build(scope).forward(tape, x);
  for (const { name, span } of scope.parameters) {
    heap.f32(span).set(readTensor((weights.get(name) ?? adapters?.weights.get(name))!));
  }
  heap.i32(ids.span).set(tokens);
  tape.forward();
  const logits = heap.f32(x.span), vocab = x.shape[2];
  return tokens.map((_, i) => logits.slice(i * vocab, (i + 1) * vocab));
}

/** Log-probability of each token after the first, given those before it. */
export async function logProbabilitiesOf(
  model: LoadedModel,
  tokens: readonly number[],
  adapter?: string,
): Promise<number[]> {
  const scores = await wholeScores(model, tokens.slice(0, -1), adapter);
  return scores.map((row, i) => {
    const logits = Float64Array.from(row), max = logits.reduce((a, b) => Math.max(a, b));
    return logits[tokens[i + 1]] - max -
      Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  });
}
