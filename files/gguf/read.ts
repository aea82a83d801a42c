import { recognizeContent } from "../file_content.ts";
import {
  blockFormatOf,
  storedBytes,
  type StoredDType,
  storedLength,
  type StoredTensor,
} from "../tensor_files.ts";
import { openFile } from "../open_file.ts";
import { UsageError } from "../usage_error.ts";
import { FileCursor } from "./cursor.ts";
import {
  ALIGNMENT,
  ALIGNMENT_KEY,
  type GgufMetadata,
  type GgufValue,
  MAGIC,
  OTHER_TYPES,
  TENSOR_TYPES,
  VALUE_TYPES,
} from "./values.ts";

/** What a file has. */
export interface GgufFile {
  /** What it says of its model. */
  readonly metadata: GgufMetadata;
  /** Where its tensors lie, by name; dims outermost first. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const MOST_DIMS = 4;

/**
 * Reads what a file says, and where its tensors lie; the tensors themselves stay in the file.
 *
 * @throws {UsageError} If the file is missing, truncated, not what it says, or has tensors of types that are not read.
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const fail = (problem: string): never => {
    throw new UsageError(`Cannot read ${path}: ${problem}`);
  };
  using opened = await openFile(path, fail);
  const { file, size } = opened;
  const cursor = new FileCursor(file, size, fail);
  const { numTensors, numValues } = readHead(cursor, fail), metadata = new Map<string, GgufValue>();
  for (let i = 0; i < numValues; i++) {
    const key = cursor.text(`key ${i}`);
    if (metadata.has(key)) fail(`it has the key ${key} twice`);
    metadata.set(key, readValue(cursor, cursor.u32(key), key, fail));
  }
  const entries = Array.from({ length: numTensors }, (_, i) => readEntry(cursor, i, fail));
  const alignment = alignmentOf(metadata, fail), start = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, offset } of entries) {
    const bytes = storedBytes(dtype, storedLength({ shape })), byteOffset = start + offset;
    if (tensors.has(name)) fail(`it has the tensor ${name} twice`);
    if (offset % alignment !== 0) {
      fail(`tensor ${name} begins at byte ${offset}, which is no multiple of ${alignment}`);
    }
    if (byteOffset + bytes > size) {
      fail(`it is truncated: tensor ${name} ends at byte ${byteOffset + bytes}, the file at ${size}`);
    }
    tensors.set(name, { path, byteOffset, dtype, shape });
  }
  return { metadata, tensors };
}

function readHead(cursor: FileCursor, fail: (problem: string) => never) {
  const start = cursor.peek(256);
  if (String.fromCharCode(...start.subarray(0, 4)) !== MAGIC) {
    fail(
      start.length < 4
        ? `it has ${start.length} bytes`
        : recognizeContent(start) ?? "it does not begin with GGUF",
    );
  }
  cursor.skip(4);
  const version = cursor.u32("version");
  if (version >= 0x1000000) fail("its numbers are big-endian; convert it to little-endian");
  if (version !== 2 && version !== 3) fail(`its version is ${version}, supported are 2 and 3`);
  const numTensors = cursor.u64("number of tensors"), numValues = cursor.u64("number of keys");
  // Each takes more than eight bytes.
  for (const [what, count] of [["tensors", numTensors], ["keys", numValues]] as const) {
    if (8 * count > cursor.size) {
      fail(`it is damaged: it would have ${count} ${what} in ${cursor.size} bytes`);
    }
  }
  return { numTensors, numValues };
}

function readValue(
  cursor: FileCursor,
  type: number,
  key: string,
  fail: (problem: string) => never,
): GgufValue {
  const name = VALUE_TYPES[type];
  if (name === undefined) return fail(`the value of ${key} is of the unknown type ${type}`);
  if (name === "string") return cursor.text(key);
  if (name !== "array") return cursor.scalar(name, key);
  const element = cursor.u32(key), length = cursor.u64(key);
  if (length > cursor.size) return fail(`it is damaged: the array ${key} would have ${length} elements`);
  return Array.from({ length }, () => readValue(cursor, element, key, fail));
}

interface Entry extends Pick<StoredTensor, "dtype" | "shape"> {
  readonly name: string;
  readonly offset: number;
}

function readEntry(cursor: FileCursor, i: number, fail: (problem: string) => never): Entry {
  const name = cursor.text(`name of tensor ${i}`), numDims = cursor.u32(name);
  if (numDims < 1 || numDims > MOST_DIMS) {
    fail(`tensor ${name} has ${numDims} dims, supported are 1 to ${MOST_DIMS}`);
  }
  const shape = Array.from({ length: numDims }, () => cursor.u64(name)).reverse(), type = cursor.u32(name);
  const dtype = TENSOR_TYPES.get(type);
  if (dtype === undefined) {
    const known = [...TENSOR_TYPES.values()].join(", "), own = OTHER_TYPES.get(type) ?? `number ${type}`;
    return fail(`tensor ${name} is of the type ${own}, supported are ${known}; take a file of one of these`);
  }
  if (!shape.every((size) => size > 0) || !Number.isSafeInteger(storedLength({ shape }))) {
    fail(`tensor ${name} has no valid shape: [${shape.join(", ")}]`);
  }
  if (blockFormatOf(dtype) !== undefined && shape[numDims - 1] % 32 !== 0) {
    fail(`tensor ${name} has rows of ${shape[numDims - 1]} elements, ${dtype} has blocks of 32`);
  }
  return { name, dtype, shape, offset: cursor.u64(name) };
}

function alignmentOf(metadata: GgufMetadata, fail: (problem: string) => never): number {
  const alignment = metadata.get(ALIGNMENT_KEY) ?? ALIGNMENT;
  if (typeof alignment === "number" && alignment >= 8 && Number.isInteger(Math.log2(alignment))) {
    return alignment;
  }
  return fail(`${ALIGNMENT_KEY} is ${alignment}, it must be a power of two from 8`);
}

/** The type of a tensor that is read as this one. */
export function typeNumberOf(dtype: StoredDType): number {
  for (const [number, known] of TENSOR_TYPES) if (known === dtype) return number;
  throw new TypeError(`Cannot write tensors of ${dtype}`);
}
