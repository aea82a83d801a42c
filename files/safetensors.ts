/**
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header that says where each
 * tensor lies, then the bytes of the tensors without gaps.
 *
 * @module
 */
import { recognizeContent } from "./file_content.ts";
import { findRepeatedKey } from "./json.ts";
import { openFile } from "./open_file.ts";
import {
  readTensor,
  STORED_BYTES,
  storedBytes,
  type StoredDType,
  storedLength,
  type StoredTensor,
  type TensorIndex,
} from "./tensor_files.ts";
import { UsageError } from "./usage_error.ts";
import { writeAll } from "./write_all.ts";

/** A tensor to write, in the order of the file. */
export interface TensorToWrite {
  /** Its name in the file. */
  readonly name: string;
  /** Sizes of its dims, outermost first. */
  readonly shape: readonly number[];
  /** Its elements, row by row. */
  readonly data: Float32Array;
}

const MAX_HEADER_BYTES = 100_000_000;

interface Entry {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly start: number;
}

/**
 * Reads which tensors a file has, and where; the tensors themselves stay in the file.
 *
 * @param skip Names to leave out, before their type is looked at.
 * @throws {UsageError} If the file is missing, truncated, or not what it says.
 */
export async function openSafetensors(
  path: string,
  skip: (name: string) => boolean = () => false,
): Promise<Map<string, StoredTensor>> {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot read ${path}: ${problem}`);
  };
  using opened = await openFile(path, fail);
  const { file, size } = opened;
  const length = await readBytes(file, 8);
  if (length.length < 8) fail(`a safetensors file has at least 8 bytes, this one has ${length.length}`);
  const headerBytes = Number(new DataView(length.buffer).getBigUint64(0, true)), dataStart = 8 + headerBytes;
  if (headerBytes > MAX_HEADER_BYTES || dataStart > size) {
    const other = recognizeContent(Uint8Array.of(...length, ...await readBytes(file, 248)));
    if (other !== undefined) fail(other);
  }
  if (headerBytes > MAX_HEADER_BYTES) {
    fail(`it is no safetensors file (its header would have ${headerBytes} bytes)`);
  }
  if (dataStart > size) fail(`it is truncated: the header ends at byte ${dataStart}, the file at ${size}`);
  const header = parseHeader(await readBytes(file, headerBytes), fail),
    entries = readEntries(header, skip, fail);
  checkPlaces(header, size - dataStart, fail);
  return new Map(entries.map(({ name, dtype, shape, start }) => {
    return [name, { path, byteOffset: dataStart + start, dtype, shape }];
  }));
}

/** A tensor in memory. */
export interface LoadedTensor {
  /** Sizes of its dims, outermost first. */
  readonly shape: readonly number[];
  /** Its elements as f32, row by row. */
  readonly data: Float32Array;
}

/** Reads all tensors of a file into memory, in the order of the file. */
export async function readSafetensors(path: string): Promise<Map<string, LoadedTensor>> {
  const index = await openSafetensors(path);
  return new Map(
    [...index].map(([name, tensor]) => [name, { shape: tensor.shape, data: readTensor(tensor) }]),
  );
}

async function readBytes(file: Deno.FsFile, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = await file.read(bytes.subarray(done));
    if (count === null) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

type Header = [name: string, entry: Record<string, unknown>][];

function parseHeader(bytes: Uint8Array, fail: (problem: string) => never): Header {
  let text: string, header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    return fail("its header is not JSON");
  }
  if (!isRecord(header)) return fail("its header is not a JSON object");
  // Readers differ in which of the two they take.
  const repeated = findRepeatedKey(text);
  if (repeated?.length === 1) fail(`its header names ${repeated[0]} twice`);
  if (repeated !== undefined) fail(`the header entry of ${repeated[0]} has ${repeated.at(-1)} twice`);
  return Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, entry]) => {
    if (!isRecord(entry)) return fail(`the header entry of ${name} is not an object`);
    return [name, entry];
  });
}

function readEntries(
  header: Header,
  skip: (name: string) => boolean,
  fail: (problem: string) => never,
): Entry[] {
  return header.filter(([name]) => !skip(name)).map(([name, entry]) => {
    const dtype = entry.dtype;
    if (!isStoredDType(dtype)) {
      return fail(
        `tensor ${name} has the type ${dtype}; supported are ${Object.keys(STORED_BYTES).join(", ")}`,
      );
    }
    const shape = entry.shape;
    if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`tensor ${name} has no valid shape`);
    const [start, end] = offsetsOf(name, entry, fail);
    const needed = storedBytes(dtype, storedLength({ shape }));
    if (end - start !== needed) {
      fail(
        `tensor ${name} has ${end - start} bytes, its shape [${
          shape.join(", ")
        }] as ${dtype} needs ${needed}`,
      );
    }
    return { name, dtype, shape, start };
  });
}

function offsetsOf(name: string, entry: Record<string, unknown>, fail: (problem: string) => never) {
  const offsets = entry.data_offsets;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0] > offsets[1]) {
    return fail(`tensor ${name} has no valid data_offsets`);
  }
  return offsets as [number, number];
}

function checkPlaces(header: Header, numBytes: number, fail: (problem: string) => never): void {
  const places = header.map(([name, entry]) => ({ name, offsets: offsetsOf(name, entry, fail) }));
  places.sort((a, b) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]);
  let end = 0;
  for (const { name, offsets } of places) {
    if (offsets[0] !== end) {
      fail(`tensor ${name} starts at byte ${offsets[0]} of the data, expected was ${end}`);
    }
    end = offsets[1];
    if (end > numBytes) {
      fail(`it is truncated: tensor ${name} ends at byte ${end} of the data, which has ${numBytes} bytes`);
    }
  }
  if (end < numBytes) fail(`${numBytes - end} bytes behind the last tensor belong to nothing`);
}

/** Where f32 tensors lie in a file that holds them in the given order; any rank can tell. */
export function layOutTensors(
  path: string,
  shapes: Iterable<readonly [name: string, shape: readonly number[]]>,
): { readonly header: Uint8Array<ArrayBuffer>; readonly index: TensorIndex; readonly byteLength: number } {
  // Hugging Face's loaders want to know which framework's layout it is.
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } }, named = [...shapes];
  let end = 0;
  const starts = named.map(([name, shape]) => {
    const start = end;
    end += 4 * storedLength({ shape });
    entries[name] = { dtype: "F32", shape, data_offsets: [start, end] };
    return start;
  });
  const header = encodeHeader(entries), dataStart = header.length;
  const index = new Map(named.map(([name, shape], i): [string, StoredTensor] => {
    return [name, { path, byteOffset: dataStart + starts[i], dtype: "F32", shape }];
  }));
  return { header, index, byteLength: dataStart + end };
}

/** Makes a file with room for tensors: header and length are final, the elements zeros until they are written. */
export async function createSafetensors(
  path: string,
  shapes: Iterable<readonly [name: string, shape: readonly number[]]>,
): Promise<void> {
  const { header, byteLength } = layOutTensors(path, shapes);
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, header);
  await file.truncate(byteLength);
}

/**
 * Writes f32 tensors in the given order, one after the other, and syncs the file to disk.
 *
 * @throws {RangeError} If the data of a tensor do not fit its shape.
 */
export async function writeSafetensors(path: string, tensors: readonly TensorToWrite[]): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, layOutTensors(path, tensors.map(({ name, shape }) => [name, shape] as const)).header);
  for (const { name, shape, data } of tensors) {
    const length = storedLength({ shape });
    if (data.length !== length) {
      throw new RangeError(
        `Cannot write tensor ${name}: shape [${
          shape.join(", ")
        }] needs ${length} elements, given are ${data.length}`,
      );
    }
    await writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice());
  }
  await file.sync();
}

/** Header with its length in front, padded with blanks so that the data start at a multiple of 8. */
function encodeHeader(entries: Readonly<Record<string, unknown>>): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(entries));
  const bytes = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(text, 8);
  return bytes;
}

function isStoredDType(value: unknown): value is keyof typeof STORED_BYTES {
  return typeof value === "string" && Object.hasOwn(STORED_BYTES, value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
