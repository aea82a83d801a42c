/**
 * Splits the layers of a model over the stages of a pipeline: every stage gets one run of neighbouring layers.
 */
import { shareOf } from "../layout/mod.ts";

/** A layer, as far as a partition needs to know it. */
export interface LayerFacts {
  /** Name in the model, for messages. */
  readonly name: string;
  /** Type of the layer, matched by `type:REGEX`. */
  readonly type: string;
  /** Number of parameters, balanced by `parameters`. */
  readonly parameters: number;
  /** Measured time of the layer in any unit, balanced by `measured`. */
  readonly cost?: number;
}

/** Which layers stand on which stage. */
export interface Partition {
  /** Number of layers of each stage; their sum is the number of layers. */
  readonly counts: readonly number[];
  /** For each stage its layers `[start, end)`. */
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /** For each stage the sum of what was balanced: layers, parameters, matching layers or cost. */
  readonly loads: readonly number[];
}

/**
 * Splits layers over stages.
 *
 * Methods: `uniform` (numbers of layers differ by one at most), `parameters`, `measured` (costs), `type:REGEX` (layers
 * whose type matches, in any case), or a count for each stage: `3,3,2,4`. What is balanced is balanced exactly: no
 * other split has a smaller largest stage, and of those with the same largest stage none is more even (sum of
 * squares). Every stage gets a layer.
 *
 * Cost: stages x layers^2 additions.
 *
 * @param layers Layers in the order of the forward pass.
 * @throws {RangeError} If no such split exists: names what is short.
 * @throws {SyntaxError} If the method is none of these.
 */
export function partitionLayers(
  layers: readonly LayerFacts[],
  options: { readonly numStages: number; readonly method: string },
): Partition {
  const { numStages, method } = options;
  if (!Number.isInteger(numStages) || numStages < 1) {
    throw new RangeError(`Cannot split layers over ${numStages} stages: a whole number from 1 is needed`);
  }
  if (layers.length < numStages) {
    throw new RangeError(
      `Cannot split ${layers.length} layers over ${numStages} stages: each stage needs a layer`,
    );
  }
  if (/^\d+(,\d+)*$/.test(method)) {
    return cutAt(parseCounts(method, layers.length, numStages), layers.map(() => 1));
  }
  if (method === "uniform") {
    const counts = Array.from({ length: numStages }, (_, stage) => {
      const { start, end } = shareOf(layers.length, numStages, stage);
      return end - start;
    });
    return cutAt(counts, layers.map(() => 1));
  }
  const weights = weighLayers(layers, method, numStages);
  return cutAt(balance(weights, numStages), weights);
}

function parseCounts(method: string, numLayers: number, numStages: number): number[] {
  const counts = method.split(",").map(Number);
  if (counts.length !== numStages) {
    throw new RangeError(
      `Cannot use partition ${method}: it has ${counts.length} counts for ${numStages} stages`,
    );
  }
  if (counts.includes(0)) throw new RangeError(`Cannot use partition ${method}: each stage needs a layer`);
  const sum = counts.reduce((a, b) => a + b, 0);
  if (sum !== numLayers) {
    throw new RangeError(
      `Cannot use partition ${method}: its sum is ${sum}, the model has ${numLayers} layers`,
    );
  }
  return counts;
}

function weighLayers(layers: readonly LayerFacts[], method: string, numStages: number): number[] {
  if (method === "parameters") {
    return layers.map((layer) => checkWeight(layer, "parameters", layer.parameters));
  }
  if (method === "measured") return layers.map((layer) => checkWeight(layer, "cost", layer.cost));
  if (!method.startsWith("type:")) {
    const known = "uniform, parameters, measured, type:REGEX, or counts as in 3,3,2,4";
    throw new SyntaxError(`Cannot partition by "${method}": known are ${known}`);
  }
  const pattern = parsePattern(method);
  const weights = layers.map((layer) => pattern.test(layer.type) ? 1 : 0);
  const numMatching = weights.reduce((sum: number, weight) => sum + weight, 0);
  if (numMatching < numStages) {
    const found = `${numMatching} of ${layers.length} layers match`;
    throw new RangeError(
      `Cannot partition by ${method} over ${numStages} stages: ${found}, each stage needs one`,
    );
  }
  return weights;
}

function checkWeight(layer: LayerFacts, what: string, weight: number | undefined): number {
  if (weight !== undefined && Number.isFinite(weight) && weight >= 0) return weight;
  throw new RangeError(
    `Cannot balance layer ${layer.name} with ${what} ${weight}: a number from 0 is needed`,
  );
}

function parsePattern(method: string): RegExp {
  try {
    return new RegExp(method.slice("type:".length), "i");
  } catch {
    throw new SyntaxError(`Cannot partition by "${method}": what follows type: must be a regular expression`);
  }
}

/** Sizes of runs of `weights` with the smallest largest sum, and of those the most even ones. */
function balance(weights: readonly number[], numStages: number): number[] {
  const prefix = [0];
  for (const weight of weights) prefix.push(prefix.at(-1)! + weight);
  const load = (start: number, end: number) => prefix[end] - prefix[start];
  const numLayers = weights.length;
  const largest = cheapest({ numLayers, numStages }, (start, end) => [load(start, end)], worse);
  const limit = largest.cost[0];
  const even = cheapest({ numLayers, numStages }, (start, end) => {
    const sum = load(start, end);
    return sum > limit ? undefined : [sum * sum, (end - start) ** 2];
  }, added);
  return even.counts;
}

function worse(a: readonly number[], b: readonly number[]): number[] {
  return [Math.max(a[0], b[0])];
}

function added(a: readonly number[], b: readonly number[]): number[] {
  return a.map((x, i) => x + b[i]);
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  const i = a.findIndex((x, k) => x !== b[k]);
  return i >= 0 && a[i] < b[i];
}

/** The cheapest way to cut layers into runs; costs of runs are joined, and compared place by place. */
function cheapest(
  { numLayers, numStages }: { readonly numLayers: number; readonly numStages: number },
  costOf: (start: number, end: number) => number[] | undefined,
  join: (a: readonly number[], b: readonly number[]) => number[],
): { readonly cost: readonly number[]; readonly counts: number[] } {
  type Best = { readonly cost: readonly number[]; readonly counts: number[] } | undefined;
  let best: Best[] = Array.from({ length: numLayers + 1 }, (_, end) => {
    const cost = end === 0 ? undefined : costOf(0, end);
    return cost && { cost, counts: [end] };
  });
  for (let stage = 1; stage < numStages; stage++) {
    best = best.map((_, end) => {
      let winner: Best;
      for (let start = stage; start < end; start++) {
        const before = best[start], own = costOf(start, end);
        if (before === undefined || own === undefined) continue;
        const cost = join(before.cost, own);
        if (winner !== undefined && !isLess(cost, winner.cost)) continue;
        winner = { cost, counts: [...before.counts, end - start] };
      }
      return winner;
    });
  }
  return best[numLayers]!;
}

function cutAt(counts: readonly number[], weights: readonly number[]): Partition {
  let start = 0;
  const ranges = counts.map((count) => {
    const range = { start, end: start + count };
    start = range.end;
    return range;
  });
  const loads = ranges.map(({ start, end }) =>
    weights.slice(start, end).reduce((sum, weight) => sum + weight, 0)
  );
  return { counts, ranges, loads };
}
