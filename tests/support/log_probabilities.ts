import { openAdapters } from "../../adapters/mod.ts";
import type { LoadedModel } from "../../checkpoint/mod.ts";
import { readTensor } from "../../files/mod.ts";
import { createBackend, createDeviceMemory, DeviceHeap } from "../../kernels/mod.ts";
import { tuningOf } from "../../models/mod.ts";
import { Scope } from "../../nn/mod.ts";
import { TokenWriter } from "../../serve/writer.ts";

/** Log-probability of each token after the first, given those before it; of a model, or of one with an adapter. */
export async function logProbabilitiesOf(
  { family, config, weights }: LoadedModel,
  tokens: readonly number[],
  adapter?: string,
): Promise<number[]> {
  const adapters = adapter === undefined ? undefined : await openAdapters(adapter, { family, config });
  const capBytes = 64 * 2 ** 20, heap = new DeviceHeap({ capBytes, memory: createDeviceMemory(capBytes) });
  const scope = Scope.of({ heap, seed: undefined });
  const model = family.decoder(scope.tuned(tuningOf({ adapters: adapters?.sizes })), config);
  for (const { name, span } of scope.parameters) {
    heap.f32(span).set(readTensor((weights.get(name) ?? adapters?.weights.get(name))!));
  }
  const writer = new TokenWriter(createBackend("wasm", heap), model);
  return tokens.slice(1).map((next, i) => {
    writer.read(tokens[i]);
    const logits = Float64Array.from(writer.logits), max = logits.reduce((a, b) => Math.max(a, b));
    return logits[next] - max - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  });
}
