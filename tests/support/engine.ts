import { PhantomDevice } from "../../actors/mod.ts";
import { type Backend, readElements, writeElements } from "../../kernels/mod.ts";
import { loadModel, type ModelFamily, modelOf } from "../../models/mod.ts";
import { Scope, Tape } from "../../nn/mod.ts";
import { type EngineLimits, EngineRank } from "../../serve/engine/mod.ts";
import { engineTopology } from "../../serve/mod.ts";
import { Mesh } from "../../strategies/mod.ts";
import { makeBackend } from "./device.ts";

/** A model on one device, of random weights. */
export interface SoloModel {
  readonly family: ModelFamily;
  readonly config: unknown;
  readonly seed: number;
}

/** The whole engine of a model on one device in this thread. */
export async function makeRank(
  model: SoloModel,
  limits: EngineLimits,
  backend: Backend = makeBackend(),
): Promise<EngineRank> {
  const { family, config, seed } = model, { degrees } = new Mesh({}), sizes = family.sizes(config);
  const parts = await loadModel(modelOf(family, config));
  const device = new PhantomDevice(engineTopology(degrees), 0);
  const rank = new EngineRank({ parts, sizes, degrees, isExact: false, device, backend, limits });
  const { heap } = makeBackend(), values = Scope.root(heap, seed);
  parts.layers.forEach((layer) => layer.build(values));
  for (const { name, span } of rank.scope.parameters) {
    const own = values.parameters.find((parameter) => parameter.name === name)!;
    writeElements(backend.heap, span, readElements(heap, own.span));
  }
  return rank;
}

/** Scores after the last of some tokens, in one pass without a cache. */
export function scoresAfter({ family, config, seed }: SoloModel, tokens: readonly number[]): Float32Array {
  const backend = makeBackend(), scope = Scope.root(backend.heap, seed), { length } = tokens;
  const tape = new Tape({ backend, training: false, placement: { unitsPerRow: length } });
  const ids = tape.input("ids", [1, length], "i32");
  const logits = family.layers(config).reduce((x, layer) => layer.build(scope).forward(tape, x), ids);
  backend.heap.i32(ids.span).set(tokens);
  tape.forward();
  return backend.heap.f32(logits.span).slice(-logits.shape[2]);
}
