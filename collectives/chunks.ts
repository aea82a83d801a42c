/** Elements that a chunk of an all-reduce is a multiple of, so that two owners never write one line. */
const LINE_ELEMENTS = 32;

/** A run of elements of a buffer. */
export interface Chunk {
  /** First element. */
  start: number;
  /** Number of elements. */
  length: number;
}

/**
 * First element of chunk `index` when `length` elements are split over `size` members: chunks of
 * `ceil(length / size)` elements, the last ones shorter or empty.
 */
export function chunkStart(length: number, size: number, index: number): number {
  return Math.min(length, Math.ceil(length / size) * index);
}

/** The chunk of a member in reduce-scatter, all-gather and all-to-all; see {@link chunkStart}. */
export function chunkOf(length: number, size: number, index: number): Chunk {
  const start = chunkStart(length, size, index);
  return { start, length: chunkStart(length, size, index + 1) - start };
}

/** First element of the chunk that a member owns inside an all-reduce: whole lines, the last ones shorter. */
export function lineChunkStart(length: number, size: number, index: number): number {
  const chunk = Math.ceil(length / size / LINE_ELEMENTS) * LINE_ELEMENTS;
  return Math.min(length, chunk * index);
}
