/**
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header that says where each
 * tensor lies, then the bytes of the tensors without gaps.
 *
 * @module
 */
import { fileProblem, UsageError } from "./usage_error.ts";

/** Element types that can be read; F16 and BF16 become f32. */
export type SafetensorsDType = "F32" | "F16" | "BF16";

/** A tensor of a file. */
export interface StoredTensor {
  /** The type in the file; `data` is always f32. */
  readonly dtype: SafetensorsDType;
  /** Sizes of its dims, outermost first. */
  readonly shape: readonly number[];
  /** Its elements, row by row. */
  readonly data: Float32Array;
}

/** A tensor to write; a function is called when its turn comes, so that only one tensor need be in memory. */
export interface TensorToWrite {
  /** Its name in the file. */
  readonly name: string;
  /** Sizes of its dims, outermost first. */
  readonly shape: readonly number[];
  /** Its elements, row by row. */
  readonly data: Float32Array | (() => Float32Array | Promise<Float32Array>);
}

const DTYPE_BYTES: Readonly<Record<SafetensorsDType, number>> = { F32: 4, F16: 2, BF16: 2 };
const MAX_HEADER_BYTES = 100_000_000;
const WRITE_BYTES = 4 * 1024 * 1024;

interface Entry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

/**
 * Reads the tensors of a file.
 *
 * @param skip Names to leave out, before their type is looked at.
 * @throws {UsageError} If the file is missing, truncated, or not what it says.
 */
export async function readSafetensors(
  path: string,
  skip: (name: string) => boolean = () => false,
): Promise<Map<string, StoredTensor>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
  }
  return decodeSafetensors(bytes, path, skip);
}

/** Reads tensors from the bytes of a file; `path` is for messages. F32 data are views of `bytes`. */
export function decodeSafetensors(
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
  skip: (name: string) => boolean = () => false,
): Map<string, StoredTensor> {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot read ${path}: ${problem}`);
  };
  if (bytes.length < 8) fail(`a safetensors file has at least 8 bytes, this one has ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES) {
    fail(`it is no safetensors file (its header would have ${headerBytes} bytes)`);
  }
  const dataStart = 8 + headerBytes;
  if (dataStart > bytes.length) {
    fail(`it is truncated: the header ends at byte ${dataStart}, the file at ${bytes.length}`);
  }
  const header = parseHeader(bytes.subarray(8, dataStart), fail);
  const entries = readEntries(header, skip, fail);
  checkPlaces(header, bytes.length - dataStart, fail);
  return new Map(entries.map((entry) => {
    const data = decodeData(bytes.subarray(dataStart + entry.start, dataStart + entry.end), entry.dtype);
    return [entry.name, { dtype: entry.dtype, shape: entry.shape, data }];
  }));
}

type Header = [name: string, entry: Record<string, unknown>][];

function parseHeader(bytes: Uint8Array, fail: (problem: string) => never): Header {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return fail("its header is not JSON");
  }
  if (!isRecord(header)) return fail("its header is not a JSON object");
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
    if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") {
      return fail(`tensor ${name} has the type ${dtype}; supported are F32, F16, BF16`);
    }
    const shape = entry.shape;
    if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`tensor ${name} has no valid shape`);
    const [start, end] = offsetsOf(name, entry, fail);
    const needed = shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]);
    if (end - start !== needed) {
      fail(
        `tensor ${name} has ${end - start} bytes, its shape [${
          shape.join(", ")
        }] as ${dtype} needs ${needed}`,
      );
    }
    return { name, dtype, shape, start, end };
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

function decodeData(bytes: Uint8Array<ArrayBuffer>, dtype: SafetensorsDType): Float32Array {
  const isAligned = bytes.byteOffset % DTYPE_BYTES[dtype] === 0;
  const place = isAligned ? bytes : bytes.slice();
  const length = bytes.byteLength / DTYPE_BYTES[dtype];
  if (dtype === "F32") return new Float32Array(place.buffer, place.byteOffset, length);
  if (dtype === "F16") return new Float32Array(new Float16Array(place.buffer, place.byteOffset, length));
  const upper = new Uint16Array(place.buffer, place.byteOffset, length);
  const bits = new Uint32Array(length);
  for (let i = 0; i < length; i++) bits[i] = upper[i] << 16;
  return new Float32Array(bits.buffer);
}

/**
 * Writes f32 tensors in the given order, one after the other, and syncs the file to disk.
 *
 * @throws {RangeError} If the data of a tensor do not fit its shape.
 */
export async function writeSafetensors(path: string, tensors: readonly TensorToWrite[]): Promise<void> {
  const file = await Deno.open(path, { write: true, create: true, truncate: true });
  try {
    await writeAll(file, encodeHeader(tensors));
    for (const tensor of tensors) {
      const data = typeof tensor.data === "function" ? await tensor.data() : tensor.data;
      if (data.length !== numElements(tensor.shape)) {
        throw new RangeError(
          `Cannot write tensor ${tensor.name}: shape [${tensor.shape.join(", ")}] needs ` +
            `${numElements(tensor.shape)} elements, given are ${data.length}`,
        );
      }
      await writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await file.sync();
  } finally {
    file.close();
  }
}

/** Header with its length in front, padded with blanks so that the data start at a multiple of 8. */
function encodeHeader(tensors: readonly TensorToWrite[]): Uint8Array {
  // Hugging Face's loaders want to know which framework's layout it is.
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const { name, shape } of tensors) {
    const end = offset + 4 * numElements(shape);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(text, 8);
  return bytes;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length;) {
    // A copy, because shared memory cannot be written to a file.
    const part = bytes.slice(start, start + WRITE_BYTES);
    start += await file.write(part);
  }
}

function numElements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
