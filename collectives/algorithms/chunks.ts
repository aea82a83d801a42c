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
 *
 * @param row Elements that stay together; the length is a multiple of it.
 */
export function chunkStart(length: number, size: number, index: number, row = 1): number {
  return Math.min(length, Math.ceil(length / row / size) * row * index);
}

/**
 * The chunk of a member in reduce-scatter, all-gather and all-to-all; see {@link chunkStart}.
 *
 * @throws {RangeError} If the length is not a multiple of `row`.
 */
export function chunkOf(length: number, size: number, index: number, row = 1): Chunk {
  if (length % row !== 0) throw new RangeError(`Cannot split ${length} elements into rows of ${row}`);
  const start = chunkStart(length, size, index, row);
  return { start, length: chunkStart(length, size, index + 1, row) - start };
}

/** First element of the chunk that a member owns inside an all-reduce: whole lines, the last ones shorter. */
export function lineChunkStart(length: number, size: number, index: number): number {
  const chunk = Math.ceil(length / size / LINE_ELEMENTS) * LINE_ELEMENTS;
  return Math.min(length, chunk * index);
}
