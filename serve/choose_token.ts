import { RandomStream } from "../nn/mod.ts";

/** How the next token is chosen. */
export interface SamplerOptions {
  /** Divides the logits; 0 always takes the likeliest token. */
  readonly temperature: number;
  /** Choose among this many of the likeliest tokens; 0 = among all. */
  readonly topK: number;
  /** Of the random numbers. */
  readonly seed: number;
}

/**
 * Chooses token `index` of a text from its logits; the same (seed, index, logits) give the same token.
 *
 * Minus infinity is a token that cannot follow, as long as one can.
 *
 * Cost: V log V with top-k.
 *
 * @throws {RangeError} If a logit is NaN or infinity, or all are minus infinity.
 */
export function chooseToken(logits: Float32Array, index: number, options: SamplerOptions): number {
  const { temperature, topK, seed } = options, likeliest = findLikeliest(logits);
  if (temperature === 0) return likeliest;
  const ids = Array.from(logits.keys());
  if (topK > 0 && topK < ids.length) {
    ids.sort((a, b) => logits[b] - logits[a] || a - b);
    ids.length = topK;
  }
  const highest = logits[likeliest];
  const weights = ids.map((id) => Math.exp((logits[id] - highest) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let rest = new RandomStream(seed, "sample").uniform(index) * total;
  for (const [i, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return ids[i];
  }
  return ids.at(-1)!;
}

/** The first of the largest logits. */
function findLikeliest(logits: Float32Array): number {
  let likeliest = 0;
  for (const [id, logit] of logits.entries()) {
    // Every comparison with NaN is false.
    if (!(logit < Infinity)) throw new RangeError(`Cannot choose a token: the logit of id ${id} is ${logit}`);
    if (logit > logits[likeliest]) likeliest = id;
  }
  if (logits[likeliest] > -Infinity) return likeliest;
  throw new RangeError("Cannot choose a token: all logits are -Infinity");
}
