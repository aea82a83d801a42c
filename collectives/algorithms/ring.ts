/** Steps of a ring all-reduce over n ranks: n - 1 that reduce, n - 1 that gather. */
export function numRingSteps(size: number): number {
  return 2 * (size - 1);
}

/**
 * The chunk that member `index` pulls from its left neighbour in step k of a ring all-reduce.
 *
 * Steps 0..n-2 add the left neighbour's partial sum to the own one; afterwards member i owns the sum of chunk
 * i + 1. Steps n-1..2n-3 copy finished chunks. For n = 3 (rows members, columns steps, `+` adds):
 *
 *     0:  +2 +1  0  2
 *     1:  +0 +2  1  0
 *     2:  +1 +0  2  1
 *
 * A pull in step k needs the left neighbour to have done k steps. A chunk that is overwritten in step n-1+k has been
 * read by the right neighbour in its step k, which is done: the waits go once around the ring.
 */
export function ringChunk(k: number, index: number, size: number): number {
  const chunk = k < size - 1 ? index - 1 - k : index - (k - (size - 1));
  return ((chunk % size) + size) % size;
}
