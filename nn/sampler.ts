import { RandomStream } from "./random.ts";

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
 * Cost: V log V with top-k.
 */
export function chooseToken(logits: Float32Array, index: number, options: SamplerOptions): number {
  const { temperature, topK, seed } = options;
  if (temperature === 0) return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  const ids = Array.from(logits.keys());
  if (topK > 0 && topK < ids.length) {
    ids.sort((a, b) => logits[b] - logits[a] || a - b);
    ids.length = topK;
  }
  const highest = ids.reduce((max, id) => Math.max(max, logits[id]), -Infinity);
  const weights = ids.map((id) => Math.exp((logits[id] - highest) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let rest = new RandomStream(seed, "sample").uniform(index) * total;
  for (const [i, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return ids[i];
  }
  return ids.at(-1)!;
}
