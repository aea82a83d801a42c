import { PhantomDevice } from "../../actors/mod.ts";
import { type Backend, readElements, writeElements } from "../../kernels/mod.ts";
import { loadModel, type ModelFamily, modelOf } from "../../models/mod.ts";
import { Scope } from "../../nn/mod.ts";
import { type EngineLimits, EngineRank } from "../../serve/engine/mod.ts";
import { engineTopology } from "../../serve/mod.ts";
import { Mesh } from "../../strategies/mod.ts";
import { makeBackend } from "./device.ts";

/** A model on one device, of random weights. */
export interface SoloModel<Config> {
  readonly family: ModelFamily<Config>;
  readonly config: Config;
  readonly seed: number;
}

/** The whole engine of a model on one device in this thread. */
export async function makeRank<Config>(
  { family, config, seed }: SoloModel<Config>,
  limits: EngineLimits,
  backend: Backend = makeBackend(),
): Promise<EngineRank> {
  const { degrees } = new Mesh({}), sizes = family.sizes(config);
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
