import { gunzipSync } from "node:zlib";
import { fileProblem, UsageError } from "../files/mod.ts";

/** Bytes of a file, in it or unpacked from it. */
export interface RawBytes {
  /** The file, for messages, and to read from later. */
  readonly path: string;
  /** Its name without the ending of what it was packed with: says what it holds. */
  readonly name: string;
  /** Number of bytes. */
  readonly size: number;
  /** All bytes, if they are in memory. */
  readonly memory: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes `[start, start + length)`, fewer at the end. */
  read(start: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Unpacked data are held in memory: so many bytes at most. */
const MOST_UNPACKED = 2 ** 30;

/**
 * Opens a file of data; one that is packed by gzip is unpacked into memory.
 *
 * @throws {UsageError} If it is no regular file, cannot be read, or is empty.
 */
export async function openBytes(path: string): Promise<RawBytes> {
  const { size, isFile, isDirectory } = await statOf(path);
  if (isDirectory) throw new UsageError(`Cannot train on ${path}: it is a directory; give a file in it`);
  // A pipe has no end that is known, and cannot be read by position.
  if (!isFile) {
    throw new UsageError(`Cannot train on ${path}: it is no regular file; write the data to a file`);
  }
  if (size === 0) throw new UsageError(`Cannot train on ${path}: it is empty`);
  const raw = {
    path,
    name: path,
    size,
    memory: undefined,
    read: (start: number, length: number) => readFile(path, start, length),
  };
  // The first tokens of a .bin may be these bytes.
  const isPacked = String.fromCharCode(...raw.read(0, 3)) === "\x1f\x8b\x08" && !/\.bin$/i.test(path);
  if (!isPacked) return raw;
  const memory = await unpack(path);
  if (memory.length === 0) throw new UsageError(`Cannot train on ${path}: what is packed in it is empty`);
  const read = (start: number, length: number) => memory.subarray(start, start + length);
  return { path, name: path.replace(/\.gz$/i, ""), size: memory.length, memory, read };
}

async function statOf(path: string): Promise<Deno.FileInfo> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
  }
}

function readFile(path: string, start: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let done = 0;
  try {
    using file = Deno.openSync(path);
    file.seekSync(start, Deno.SeekMode.Start);
    for (let count: number | null = 0; done < length && count !== null; done += count ?? 0) {
      count = file.readSync(bytes.subarray(done));
    }
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
  }
  return bytes.subarray(0, done);
}

async function unpack(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    // Files that were packed one behind the other are one text; DecompressionStream refuses them.
    return new Uint8Array(gunzipSync(await Deno.readFile(path), { maxOutputLength: MOST_UNPACKED }));
  } catch (error) {
    const isTooLarge = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    const problem = isTooLarge ? "it holds more than 1 GiB; unpack it with gunzip" : fileProblem(error);
    throw new UsageError(`Cannot unpack ${path}: ${problem}`);
  }
}
