/**
 * Choice of the next token: what is left out of the softmax, and a draw from what is in it.
 *
 * Sources: Fan et al., Hierarchical Neural Story Generation, ACL 2018 (top-k); Holtzman et al., The Curious Case of Neural
 * Text Degeneration, ICLR 2020 (top-p); Nguyen et al., Turning Up the Heat, 2024 (min-p); Keskar et al., CTRL, 2019, section
 * 4.1 (repetition penalty). In the order of Hugging Face's `generate`: penalties, temperature, top-k, top-p, min-p; biases come
 * first. Presence and frequency penalties are those of OpenAI's API, for what was written.
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
  /** Taken from the logits of tokens that were written, once; by default 0. */
  readonly presencePenalty?: number;
  /** Taken from the logits of tokens that were written, for each time; by default 0. */
  readonly frequencyPenalty?: number;
  /** Added to the logits of tokens, by id. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Of the random numbers. */
  readonly seed: number;
}

/**
 * Chooses token `index` of a text from its logits; the same (seed, index, logits, text) give the same token.
 *
 * Minus infinity is a token that cannot follow, as long as one can.
 *
 * Cost: two passes over the logits; with top-k or top-p also a sort of the likeliest tokens.
 *
 * @param text The prompt and what was written, the last `index` tokens: penalties are for them.
 * @throws {RangeError} If a logit is NaN or infinity, or all are minus infinity.
 */
export function chooseToken(
  logits: Float32Array,
  index: number,
  options: SamplerOptions,
  text: readonly number[] = [],
): number {
  const { temperature, seed } = options, scores = changed(logits, index, options, text);
  const likeliest = findLikeliest(scores);
  if (temperature === 0) return likeliest;
  const weights = weightsOf(scores, scores[likeliest], temperature),
    ids = allowedIds(weights, scores, options);
  const count = ids?.length ?? weights.length, weightAt = (i: number) => weights[ids?.[i] ?? i];
  let total = 0;
  for (let i = 0; i < count; i++) total += weightAt(i);
  let rest = new RandomStream(seed, "sample").uniform(index) * total;
  for (let i = 0; i < count; i++) {
    rest -= weightAt(i);
    if (rest < 0) return ids?.[i] ?? i;
  }
  return ids?.[count - 1] ?? count - 1;
}

/** Logits with biases, in which tokens of the text count for less. */
function changed(
  logits: Float32Array,
  index: number,
  { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias = {} }: SamplerOptions,
  text: readonly number[],
): Float32Array {
  const biases = Object.entries(logitBias);
  if (repetitionPenalty === 1 && presencePenalty === 0 && frequencyPenalty === 0 && biases.length === 0) {
    return logits;
  }
  const scores = logits.slice();
  for (const [id, bias] of biases) scores[Number(id)] += bias;
  if (repetitionPenalty !== 1) {
    for (const id of new Set(text)) {
      scores[id] = scores[id] > 0 ? scores[id] / repetitionPenalty : scores[id] * repetitionPenalty;
    }
  }
  const counts = new Map<number, number>();
  for (const id of text.slice(text.length - index)) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) scores[id] -= presencePenalty + count * frequencyPenalty;
  return scores;
}

let scratch = new Float64Array(0);

/** Probabilities, times the same number; valid until the next call. */
function weightsOf(scores: Float32Array, highest: number, temperature: number): Float64Array {
  if (scratch.length !== scores.length) scratch = new Float64Array(scores.length);
  for (let id = 0; id < scores.length; id++) scratch[id] = Math.exp((scores[id] - highest) / temperature);
  return scratch;
}

/** The ids that top-k, top-p and min-p leave, the likeliest first, the lower first where they are equal; undefined: all. */
function allowedIds(
  weights: Float64Array,
  scores: Float32Array,
  { topK, topP = 1, minP = 0 }: SamplerOptions,
): number[] | undefined {
  const isCut = topK > 0 && topK < weights.length;
  if (!isCut && topP >= 1 && minP <= 0) return undefined;
  const order = (a: number, b: number) => scores[b] - scores[a] || a - b;
  // The likeliest token has the weight 1; those that may count are few, and only they are sorted.
  const ids = isCut
    ? likeliestIds(weights, (count) => count >= topK).sort(order).slice(0, topK)
    : topP < 1
    ? likeliestIds(weights, (_, share) => share >= topP).sort(order)
    : likeliestIds(weights, () => true, minP).sort(order);
  const all = isCut ? sumOf(ids, weights) : sumOfAll(weights), wanted = topP * all;
  let count = topP < 1 ? 0 : ids.length, sum = 0;
  while (topP < 1 && (count === 0 || (sum < wanted && count < ids.length))) sum += weights[ids[count++]];
  while (minP > 0 && count > 1 && weights[ids[count - 1]] < minP) count--;
  return ids.slice(0, count);
}

/** Weights above which ids are looked at, one after the other. */
const CUTOFFS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-9];

/** Ids of the largest weights, in their order: enough of them, by their number and their share in all. */
function likeliestIds(
  weights: Float64Array,
  areEnough: (count: number, share: number) => boolean,
  first?: number,
): number[] {
  const all = sumOfAll(weights);
  for (const cutoff of first === undefined ? CUTOFFS : [first]) {
    const ids: number[] = [];
    let sum = 0;
    for (let id = 0; id < weights.length; id++) {
      if (weights[id] < cutoff) continue;
      ids.push(id);
      sum += weights[id];
    }
    if (areEnough(ids.length, sum / all)) return ids;
  }
  return Array.from(weights.keys());
}

function sumOf(ids: readonly number[], weights: Float64Array): number {
  let sum = 0;
  for (const id of ids) sum += weights[id];
  return sum;
}

function sumOfAll(weights: Float64Array): number {
  let sum = 0;
  for (let id = 0; id < weights.length; id++) sum += weights[id];
  return sum;
}

/** The first of the largest logits. */
function findLikeliest(logits: Float32Array): number {
  let likeliest = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id];
    // Every comparison with NaN is false.
    if (!(logit < Infinity)) throw new RangeError(`Cannot choose a token: the logit of id ${id} is ${logit}`);
    if (logit > logits[likeliest]) likeliest = id;
  }
  if (logits[likeliest] > -Infinity) return likeliest;
  throw new RangeError("Cannot choose a token: all logits are -Infinity");
}
