/**
 * Which tokens of a sequence a rank of the context axis holds, and which of the others it attends to, and when.
 *
 * A sequence is cut into 2 cp chunks. Rank r holds chunk r and chunk 2 cp - 1 - r, in this order, so that every rank has
 * as many pairs of (query, earlier key) as the others. In step k of a ring it meets the keys of rank r - k:
 *
 * ```
 * cp = 4          keys of rank 0  keys of rank 1  keys of rank 2  keys of rank 3
 *                    0    7          1    6          2    5          3    4      chunk
 * queries of   1     x    .          \    .          .    .          .    .
 * rank 1       6     x    .          x    \          x    x          x    x
 *                  step 1          step 0          step 3          step 2
 *
 * x all pairs   \ pairs up to the diagonal   . no pair, nothing is computed
 * ```
 *
 * Keys of an earlier rank: all queries see its first chunk. Keys of a later rank: the queries of the second chunk see all
 * of them. So a step is one rectangle of two chunk pairs, on every rank.
 *
 * Source: Brandon et al., Striped Attention, 2023, for the balance; pairs of chunks as in Llama 3, 2024, section 3.3.2.
 */

/** Consecutive tokens of those that a rank holds. */
export interface HeldTokens {
  /** Index of the first one, in the order that the rank holds them in. */
  readonly start: number;
  /** Number of tokens. */
  readonly count: number;
}

/** What a rank computes while it has the keys of one rank. */
export interface RingStep {
  /** Whose keys; in step 0 its own. */
  readonly owner: number;
  /** Those of the rank's queries that see some of the keys. */
  readonly queries: HeldTokens;
  /** Those of the owner's keys that they see. */
  readonly keys: HeldTokens;
  /** Query i sees keys 0 .. i only; otherwise all. */
  readonly causal: boolean;
}

/**
 * Refuses sequences that cannot be cut.
 *
 * @param tokens Length of a sequence.
 * @param cp Ranks of the context axis.
 * @throws {RangeError} If it is no multiple of 2 cp; with one rank every length is fine.
 */
export function checkContext(tokens: number, cp: number): void {
  if (cp === 1 || tokens % (2 * cp) === 0) return;
  throw new RangeError(
    `Cannot split sequences of ${tokens} tokens over the cp axis as their length must be a multiple of 2 x cp: ` +
      `cp is ${cp}`,
  );
}

/**
 * Places in the sequence of the tokens of a rank, in the order that it holds them in: ascending.
 *
 * @param tokens T, the length of the whole sequence.
 * @param cp Ranks of the context axis.
 * @param rank Place on that axis.
 * @returns T / cp positions.
 * @throws {RangeError} If T is no multiple of 2 cp.
 */
export function contextPositions(tokens: number, cp: number, rank: number): number[] {
  checkContext(tokens, cp);
  if (cp === 1) return Array.from({ length: tokens }, (_, t) => t);
  const chunk = tokens / (2 * cp);
  return [rank, 2 * cp - 1 - rank].flatMap((c) => Array.from({ length: chunk }, (_, t) => c * chunk + t));
}

/**
 * What a rank computes in the steps of a ring; ranges count its own tokens and the owner's.
 *
 * @param tokens T, the length of the whole sequence.
 * @param cp Ranks of the context axis.
 * @param rank Place on that axis.
 * @throws {RangeError} If T is no multiple of 2 cp.
 */
export function ringSteps(tokens: number, cp: number, rank: number): RingStep[] {
  checkContext(tokens, cp);
  const count = tokens / cp, chunk = count / 2, all = { start: 0, count };
  const first = { start: 0, count: chunk }, second = { start: chunk, count: chunk };
  return Array.from({ length: cp }, (_, k) => {
    const owner = (rank - k + cp) % cp;
    if (k === 0) return { owner, queries: all, keys: all, causal: true };
    const [queries, keys] = owner < rank ? [all, first] : [second, all];
    return { owner, queries, keys, causal: false };
  });
}

/**
 * Keys of a step that are too far behind for each of its queries, where a query sees itself and `window - 1` tokens before
 * it: as they are ascending, the first so many.
 *
 * @param tokens Length of the whole sequence.
 */
export function windowOfStep(
  { owner, queries, keys }: RingStep,
  { window, tokens, cp, rank }: { window: number; tokens: number; cp: number; rank: number },
): number[] {
  const placesOf = (rank: number, { start, count }: HeldTokens) =>
    contextPositions(tokens, cp, rank).slice(start, start + count);
  const ofKeys = placesOf(owner, keys);
  return placesOf(rank, queries).map((place) => ofKeys.filter((key) => key <= place - window).length);
}
