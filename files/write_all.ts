/**
 * A write may take a part of the bytes only; these go on until all are taken.
 *
 * @module
 */

/** A file, or a stream, that is written without waiting for the thread. */
export interface Writer {
  /** Writes bytes, perhaps not all; resolves to how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** A file, or a stream, that the thread waits for. */
export interface WriterSync {
  /** Writes bytes, perhaps not all; returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Writes all of the bytes at the place where the file is.
 *
 * @throws What the file throws; some of the bytes may then be written.
 */
export async function writeAll(to: Writer, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await to.write(bytes.subarray(done));
}

/** As {@link writeAll}, before it returns. */
export function writeAllSync(to: WriterSync, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += to.writeSync(bytes.subarray(done));
}
