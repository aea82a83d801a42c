/**
 * Which sequence of the corpus is sample `i` of a run: a pure function of (order, seed, i), so a run that is resumed, or
 * spread over more devices, sees the same samples.
 *
 * @module
 */

/** How samples are ordered. */
export interface OrderOptions {
  /**
   * `sequential`: in the order of the file, from the start again when its whole windows are used up.
   * `shuffle`: every epoch is a permutation of the windows.
   */
  readonly order: "sequential" | "shuffle";
  /** Seed of the permutations. */
  readonly seed: number;
  /** Tokens of a sample. */
  readonly context: number;
  /** Training tokens; each sample needs `context + 1` of them. */
  readonly numTokens: number;
}

/** Windows of `context` tokens, with a next token as target for each, that fit into `numTokens`. */
export function countWindows(numTokens: number, context: number): number {
  return Math.max(0, Math.floor((numTokens - 1) / context));
}

/**
 * First token of a sample, counted over all steps; the sample is `context` tokens from there, its targets the tokens one
 * further on.
 *
 * @throws {RangeError} If not even one window fits.
 */
export function sampleStart(sample: number, options: OrderOptions): number {
  const { order, seed, context, numTokens } = options, numWindows = countWindows(numTokens, context);
  if (numWindows === 0) throw new RangeError(`No sample of ${context} tokens fits into ${numTokens} tokens`);
  const place = sample % numWindows;
  if (order === "sequential") return place * context;
  return permute(place, numWindows, seed, Math.floor(sample / numWindows)) * context;
}

/** Starts of the windows of a range of tokens, evenly spread if there are more than `maxWindows`. */
export function evaluationStarts(
  range: { readonly start: number; readonly end: number },
  context: number,
  maxWindows: number = Infinity,
): number[] {
  const numWindows = countWindows(range.end - range.start, context);
  const numStarts = Math.min(numWindows, maxWindows);
  return Array.from(
    { length: numStarts },
    (_, i) => range.start + Math.floor(i * numWindows / numStarts) * context,
  );
}

const ROUNDS = 6;

/**
 * Element `place` of a pseudo-random permutation of `0 .. size - 1`, without building it.
 *
 * A Feistel network permutes the smallest square power of two that holds `size`; places outside are permuted
 * again until they fall inside (cycle walking, at most four rounds on average).
 *
 * Source: Black and Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002.
 */
export function permute(place: number, size: number, seed: number, epoch: number): number {
  let half = 2;
  while (half * half < size) half *= 2;
  let current = place;
  do {
    let left = Math.floor(current / half), right = current % half;
    for (let round = 0; round < ROUNDS; round++) {
      const mixed = mix(mix(mix(seed, epoch), round), right) % half;
      [left, right] = [right, (left ^ mixed) >>> 0];
    }
    current = left * half + right;
  } while (current >= size);
  return current;
}

/** Mixes two integers into 32 bits (the finalizer of MurmurHash3 over a Weyl step). */
function mix(a: number, b: number): number {
  let x = (Math.imul(a, 0x9e3779b1) + Math.imul(b, 0x85ebca77) + 0x165667b1) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
