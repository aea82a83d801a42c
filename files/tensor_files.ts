/**
 * Tensors that stay in their files: ranks read and write the ranges that they hold, so that a model is in memory once,
 * where it is used.
 *
 * @module
 */
import { BLOCK_BYTES, BLOCK_WEIGHTS, type BlockFormat, dequantiseBlocks } from "./blocks.ts";
import { fileProblem, UsageError } from "./usage_error.ts";
import { writeAllSync } from "./write_all.ts";

/** Bytes of an element, by its type in a file. */
export const STORED_BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;
/** Types of blocks, with their formats. */
const BLOCKS: Partial<Record<string, BlockFormat>> = { Q8_0: "q8_0", Q4_0: "q4_0" };
/** Element types that can be read; all become f32. */
export type StoredDType = keyof typeof STORED_BYTES | "Q8_0" | "Q4_0";

/** The format of a type of blocks; undefined for one of single elements. */
export function blockFormatOf(dtype: StoredDType): BlockFormat | undefined {
  return BLOCKS[dtype];
}

/** Bytes of so many elements: whole blocks of them, where there are blocks. */
export function storedBytes(dtype: StoredDType, length: number): number {
  const format = blockFormatOf(dtype);
  if (format === undefined) return length * STORED_BYTES[dtype as keyof typeof STORED_BYTES];
  return length / BLOCK_WEIGHTS * BLOCK_BYTES[format];
}

/** Where a tensor lies: plain data that a worker can be sent. */
export interface StoredTensor {
  /** The file. */
  readonly path: string;
  /** Its first byte in the file. */
  readonly byteOffset: number;
  /** Type of its elements in the file. */
  readonly dtype: StoredDType;
  /** Sizes of its dims, outermost first; elements lie row by row. */
  readonly shape: readonly number[];
  /** Where each row of a matrix lies among those in the file; by default in its own place. */
  readonly rowOrder?: readonly number[];
}

/** Tensors by name. */
export type TensorIndex = ReadonlyMap<string, StoredTensor>;

/** Bytes that are read at once: what a shard needs of a tensor is short runs, one behind the other. */
const READ_BYTES = 1 << 20;

/** Number of elements of a tensor. */
export function storedLength({ shape }: Pick<StoredTensor, "shape">): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Reads ranges of tensors as f32, whatever they are stored as. Ranges that follow each other share blocks. */
export class TensorReader {
  readonly #files = new OpenFiles({ read: true });
  readonly #block = new ArrayBuffer(READ_BYTES);
  #tensor: StoredTensor | undefined;
  /** Elements of `#tensor` that the block holds. */
  #start = 0;
  #values: Float32Array = new Float32Array(0);

  /**
   * Reads the elements from `start` on, as many as `into` has; it may be shared memory.
   *
   * @throws {UsageError} If the file cannot be read, or has become shorter.
   */
  read(tensor: StoredTensor, start: number, into: Float32Array): void {
    this.visit(tensor, { start, length: into.length }, (values, offset) => into.set(values, offset));
  }

  /**
   * Reads elements block by block.
   *
   * @param take Gets values, valid until it returns, and how far from the start of the range they lie.
   * @throws {UsageError} If the file cannot be read, or has become shorter.
   */
  visit(
    tensor: StoredTensor,
    { start, length }: { readonly start: number; readonly length: number },
    take: (values: Float32Array, offset: number) => void,
  ): void {
    for (let done = 0; done < length;) {
      const values = this.#blockAt(tensor, start + done).subarray(0, length - done);
      take(values, done);
      done += values.length;
    }
  }

  /** The elements of the block that holds element `position`, from there on. */
  #blockAt(tensor: StoredTensor, position: number): Float32Array {
    const end = this.#start + this.#values.length;
    if (this.#tensor !== tensor || position < this.#start || position >= end) this.#load(tensor, position);
    return this.#values.subarray(position - this.#start);
  }

  /**
   * Reads whole blocks as they are stored, from element `start` on.
   *
   * @throws {UsageError} If the file cannot be read, or has become shorter.
   */
  readBlocks(tensor: StoredTensor, start: number, length: number): Uint8Array<ArrayBuffer> {
    const { path, byteOffset, dtype } = tensor, bytes = new Uint8Array(storedBytes(dtype, length));
    this.#files.readAt(path, byteOffset + storedBytes(dtype, placeInFile(tensor, start)), bytes);
    return bytes;
  }

  #load(tensor: StoredTensor, position: number): void {
    const { path, byteOffset, dtype, rowOrder, shape } = tensor, total = storedLength(tensor);
    const unit = blockFormatOf(dtype) === undefined ? 1 : BLOCK_WEIGHTS, start = position - position % unit;
    const most = Math.floor(READ_BYTES / storedBytes(dtype, unit)) * unit, columns = shape[shape.length - 1];
    // Rows in another order do not follow each other.
    const end = rowOrder === undefined ? total : start - start % columns + columns;
    const length = Math.min(most, end - start);
    if (!(position < total)) throw new RangeError(`No element ${position} in a tensor of ${path}`);
    this.#files.readAt(
      path,
      byteOffset + storedBytes(dtype, placeInFile(tensor, start)),
      new Uint8Array(this.#block, 0, storedBytes(dtype, length)),
    );
    this.#tensor = tensor;
    this.#start = start;
    this.#values = toFloats(this.#block, dtype, length);
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}

/** Where an element lies among those in the file. */
function placeInFile({ rowOrder, shape }: StoredTensor, position: number): number {
  if (rowOrder === undefined) return position;
  const columns = shape[shape.length - 1], row = Math.floor(position / columns);
  return rowOrder[row] * columns + position % columns;
}

/** Writes ranges of f32 tensors to files that are as long as they will be. */
export class TensorWriter {
  readonly #files = new OpenFiles({ write: true });

  /** Writes elements from `start` on. */
  write({ path, byteOffset }: StoredTensor, start: number, values: Float32Array): void {
    // A copy, because shared memory cannot be written to a file.
    for (let done = 0; done < values.length; done += READ_BYTES / 4) {
      const part = values.slice(done, done + READ_BYTES / 4);
      this.#files.writeAt(path, byteOffset + 4 * (start + done), new Uint8Array(part.buffer));
    }
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}

/** All elements of a tensor. */
export function readTensor(tensor: StoredTensor): Float32Array {
  using reader = new TensorReader();
  const values = new Float32Array(storedLength(tensor));
  reader.read(tensor, 0, values);
  return values;
}

/** All elements of all tensors: for small models, and for those who need them whole. */
export function readTensors(index: TensorIndex): Map<string, Float32Array> {
  return new Map([...index].map(([name, tensor]) => [name, readTensor(tensor)]));
}

/**
 * Refuses tensors that hold a NaN or an infinity, which would spread to every number of a run.
 *
 * Cost: reads every tensor once, a block at a time.
 *
 * @throws {UsageError} Names the file, the tensor and the element.
 */
export function checkFinite(index: TensorIndex): void {
  using reader = new TensorReader();
  for (const [name, tensor] of index) {
    reader.visit(tensor, { start: 0, length: storedLength(tensor) }, (values, offset) => {
      const position = firstNotFinite(values);
      if (position < 0) return;
      throw new UsageError(
        `Cannot use ${tensor.path}: element ${offset + position} of tensor ${name} is ${values[position]}; ` +
          `a model must hold finite numbers, so use another checkpoint`,
      );
    });
  }
}

/**
 * The first element in which two tensors of one shape differ, as f32 and to the bit; -1 if there is none.
 *
 * Cost: reads both once, a block at a time.
 */
export function findDifference(a: StoredTensor, b: StoredTensor): number {
  using readerA = new TensorReader(), readerB = new TensorReader();
  const length = storedLength(a), size = Math.min(length, READ_BYTES / 4);
  const valuesA = new Float32Array(size), valuesB = new Float32Array(size);
  const bitsA = new Uint32Array(valuesA.buffer), bitsB = new Uint32Array(valuesB.buffer);
  for (let start = 0; start < length; start += size) {
    const count = Math.min(size, length - start);
    readerA.read(a, start, valuesA.subarray(0, count));
    readerB.read(b, start, valuesB.subarray(0, count));
    for (let i = 0; i < count; i++) if (bitsA[i] !== bitsB[i]) return start + i;
  }
  return -1;
}

/** Its place, or -1. */
function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (values[i] - values[i] !== 0) return i;
  return -1;
}

/** Elements of a block as f32; a view where they are f32 already. */
function toFloats(block: ArrayBuffer, dtype: StoredDType, length: number): Float32Array {
  const format = blockFormatOf(dtype);
  if (format !== undefined) {
    return dequantiseBlocks(format, new Uint8Array(block, 0, storedBytes(dtype, length)));
  }
  if (dtype === "F32") return new Float32Array(block, 0, length);
  if (dtype === "F64") return new Float32Array(new Float64Array(block, 0, length));
  if (dtype === "F16") return new Float32Array(new Float16Array(block, 0, length));
  const upper = new Uint16Array(block, 0, length), bits = new Uint32Array(length);
  for (let i = 0; i < length; i++) bits[i] = upper[i] << 16;
  return new Float32Array(bits.buffer);
}

/** Files that are opened when first used. */
class OpenFiles {
  readonly #files = new Map<string, Deno.FsFile>();
  readonly #mode: Deno.OpenOptions;

  constructor(mode: Deno.OpenOptions) {
    this.#mode = mode;
  }

  readAt(path: string, position: number, bytes: Uint8Array): void {
    const file = this.#at(path, position);
    for (let done = 0; done < bytes.length;) {
      const count = file.readSync(bytes.subarray(done));
      if (count === null) throw new UsageError(`Cannot read ${path}: it ends at byte ${position + done}`);
      done += count;
    }
  }

  writeAt(path: string, position: number, bytes: Uint8Array): void {
    const file = this.#at(path, position);
    try {
      writeAllSync(file, bytes);
    } catch (error) {
      throw new Error(`Cannot write ${path}: ${fileProblem(error)}`);
    }
  }

  #at(path: string, position: number): Deno.FsFile {
    let file = this.#files.get(path);
    try {
      if (file === undefined) this.#files.set(path, file = Deno.openSync(path, this.#mode));
      file.seekSync(position, Deno.SeekMode.Start);
    } catch (error) {
      throw new UsageError(`Cannot open ${path}: ${fileProblem(error)}`);
    }
    return file;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }
}
