/**
 * Choice of the next token: what is left out of the softmax, and a draw from what is in it.
 *
 * Sources: Fan et al., Hierarchical Neural Story Generation, ACL 2018 (top-k); Holtzman et al., The Curious Case of Neural
 * Text Degeneration, ICLR 2020 (top-p); Nguyen et al., Turning Up the Heat, 2024 (min-p); Keskar et al., CTRL, 2019, section
 * 4.1 (repetition penalty). In the order of Hugging Face's `generate`: penalty, temperature, top-k, top-p, min-p.
 *
 * @module
 */
import { RandomStream } from "../nn/mod.ts";

/** How the next token is chosen. */
export interface SamplerOptions {
  /** Divides the logits; 0 always takes the likeliest token. */
  readonly temperature: number;
  /** Choose among this many of the likeliest tokens; 0 = among all. */
  readonly topK: number;
  /** Choose among the fewest likeliest tokens that have this share of the probability; by default 1: among all. */
  readonly topP?: number;
  /** Leave out what is less likely than this share of the likeliest token; by default 0: nothing. */
  readonly minP?: number;
  /** Divides the logits, if they are above 0, of tokens that stand in the text; others are multiplied; by default 1. */
  readonly repetitionPenalty?: number;
  /** Of the random numbers. */
  readonly seed: number;
}

/**
 * Chooses token `index` of a text from its logits; the same (seed, index, logits, text) give the same token.
 *
 * Minus infinity is a token that cannot follow, as long as one can.
 *
 * Cost: V log V with top-k, top-p or min-p.
 *
 * @param text Tokens that a penalty is for: the prompt and what was written.
 * @throws {RangeError} If a logit is NaN or infinity, or all are minus infinity.
 */
export function chooseToken(
  logits: Float32Array,
  index: number,
  options: SamplerOptions,
  text: readonly number[] = [],
): number {
  const { temperature, repetitionPenalty = 1, seed } = options;
  const scores = repetitionPenalty === 1 ? logits : penalized(logits, repetitionPenalty, text);
  const likeliest = findLikeliest(scores);
  if (temperature === 0) return likeliest;
  const highest = scores[likeliest], ids = sortedIds(scores, options);
  const weights = ids.map((id) => Math.exp((scores[id] - highest) / temperature));
  const count = countAllowed(weights, options);
  const total = sumOf(weights, count);
  let rest = new RandomStream(seed, "sample").uniform(index) * total;
  for (let i = 0; i < count; i++) {
    rest -= weights[i];
    if (rest < 0) return ids[i];
  }
  return ids[count - 1];
}

/** Logits in which tokens of the text count for less. */
function penalized(logits: Float32Array, penalty: number, text: readonly number[]): Float32Array {
  const scores = logits.slice();
  for (const id of new Set(text)) scores[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  return scores;
}

/** All ids, or the k likeliest; the likeliest first if some may be left out, the lower id first where they are equal. */
function sortedIds(scores: Float32Array, { topK, topP = 1, minP = 0 }: SamplerOptions): number[] {
  const ids = Array.from(scores.keys()), isCut = topK > 0 && topK < ids.length;
  if (isCut || topP < 1 || minP > 0) ids.sort((a, b) => scores[b] - scores[a] || a - b);
  if (isCut) ids.length = topK;
  return ids;
}

/** How many of the weights, in descending order, top-p and min-p leave: at least one. */
function countAllowed(weights: readonly number[], { topP = 1, minP = 0 }: SamplerOptions): number {
  let count = weights.length;
  if (topP < 1) {
    const wanted = topP * sumOf(weights, count);
    let sum = 0;
    count = 0;
    while (count === 0 || (sum < wanted && count < weights.length)) sum += weights[count++];
  }
  // The likeliest token has the weight 1.
  if (minP > 0) { while (count > 1 && weights[count - 1] < minP) count--; }
  return count;
}

function sumOf(weights: readonly number[], count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += weights[i];
  return sum;
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
