import { type DType, DTYPE_BYTES, type Span } from "./span.ts";

/** What device memory is spent on; every byte belongs to one category. A `cache` is that of keys and values. */
export const CATEGORIES = [
  "parameters",
  "gradients",
  "optimizer",
  "activations",
  "cache",
  "buffers",
  "workspace",
] as const;
/** One of {@link CATEGORIES}; `buffers` are those of the collectives. */
export type Category = typeof CATEGORIES[number];

/** Bytes by category. */
export type ByteTable = Record<Category, number>;

/** Size of a WebAssembly page. */
export const PAGE_BYTES = 65536;

/** Every allocation starts on such a boundary: a cache line, and two 256-bit vectors. */
export const ALIGN_BYTES = 64;

/**
 * The first bytes of a memory hold nothing, so that offset 0 never means data, and as many bytes behind the
 * last allocation may be read (not written) by vector kernels that load a whole register at a row's end.
 */
const GUARD_BYTES = 1024;

/** Device memory ran out. The message names the tensor, the cap and the table of categories. */
export class OutOfDeviceMemoryError extends Error {
  /** Name of the class, which survives a message between workers. */
  override name = "OutOfDeviceMemoryError";
}

/** How to make a heap. */
export interface HeapOptions {
  /** Cap in bytes; at most 4 GiB - 64 KiB. */
  capBytes: number;
  /** Memory to use (created by the launcher); without one the heap only counts ("phantom"). */
  memory?: WebAssembly.Memory;
}

/**
 * Makes a memory that can grow up to `capBytes` and be posted to a worker.
 *
 * Address space is reserved, not memory: pages are committed when touched.
 */
export function createDeviceMemory(capBytes: number): WebAssembly.Memory {
  const maximum = Math.max(2, Math.ceil(capBytes / PAGE_BYTES));
  return new WebAssembly.Memory({ initial: 2, maximum, shared: true });
}

/** Allocator over one device's shared memory that accounts every byte by category. */
export class DeviceHeap {
  /** The memory, or undefined for a phantom heap that only counts. */
  readonly memory: WebAssembly.Memory | undefined;
  /** Most bytes that the heap may hand out, guards included. */
  readonly capBytes: number;
  readonly #used: ByteTable = emptyTable();
  readonly #free = new Map<number, number[]>();
  readonly #blocks = new Map<number, { bytes: number; category: Category }>();
  #top = GUARD_BYTES;
  #peakBytes = 0;
  #f32: Float32Array = new Float32Array(0);
  #i32: Int32Array = new Int32Array(0);

  /** An empty heap over the memory of `options`, if it has one. */
  constructor(options: HeapOptions) {
    this.capBytes = options.capBytes;
    this.memory = options.memory;
  }

  /** Bytes in use, by category. */
  usedBytes(): ByteTable {
    return { ...this.#used };
  }

  /** Most bytes that were ever in use. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Bytes from the start of the memory to the end of its last block, guards included: the smallest cap that fits. */
  get extentBytes(): number {
    return this.#top + GUARD_BYTES;
  }

  /** Bytes in use over all categories. */
  get totalBytes(): number {
    return sumTable(this.#used);
  }

  /**
   * Allocates `length` elements; contents are undefined. Freed blocks of the same size are used again.
   *
   * @param name What it is for, in the error message.
   * @throws {OutOfDeviceMemoryError} If the cap would be passed.
   */
  allocate(name: string, length: number, category: Category, dtype: DType = "f32"): Span {
    const bytes = alignUp(Math.max(1, length) * DTYPE_BYTES[dtype]);
    let byteOffset = this.#free.get(bytes)?.pop();
    if (byteOffset === undefined) {
      byteOffset = this.#top;
      if (byteOffset + bytes + GUARD_BYTES > this.capBytes) throw this.#outOfMemory(name, bytes, category);
      this.#ensure(byteOffset + bytes + GUARD_BYTES, name, bytes, category);
      this.#top += bytes;
    }
    this.#blocks.set(byteOffset, { bytes, category });
    this.#used[category] += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.totalBytes);
    return { byteOffset, length, dtype };
  }

  /** Gives a span that {@link allocate} returned back. */
  free(span: Span): void {
    const block = this.#blocks.get(span.byteOffset);
    if (block === undefined) throw new RangeError(`Cannot free offset ${span.byteOffset}: not allocated`);
    this.#blocks.delete(span.byteOffset);
    this.#used[block.category] -= block.bytes;
    const list = this.#free.get(block.bytes);
    if (list === undefined) this.#free.set(block.bytes, [span.byteOffset]);
    else list.push(span.byteOffset);
  }

  /** The elements of an f32 span; valid until the next allocation. */
  f32(span: Span): Float32Array {
    this.#refresh();
    const start = span.byteOffset / 4;
    return this.#f32.subarray(start, start + span.length);
  }

  /** The elements of an i32 span; valid until the next allocation. */
  i32(span: Span): Int32Array {
    this.#refresh();
    const start = span.byteOffset / 4;
    return this.#i32.subarray(start, start + span.length);
  }

  /** The bits of a bf16 span: see `readElements`; valid until the next allocation. */
  u16(span: Span): Uint16Array {
    if (this.memory === undefined) throw new TypeError("Cannot read a phantom heap: it has no memory");
    return new Uint16Array(this.memory.buffer, span.byteOffset, span.length);
  }

  /** The elements of an f64 span; valid until the next allocation. */
  f64(span: Span): Float64Array {
    if (this.memory === undefined) throw new TypeError("Cannot read a phantom heap: it has no memory");
    return new Float64Array(this.memory.buffer, span.byteOffset, span.length);
  }

  #refresh(): void {
    if (this.memory === undefined) throw new TypeError("Cannot read a phantom heap: it has no memory");
    const buffer = this.memory.buffer;
    if (this.#f32.buffer === buffer) return;
    this.#f32 = new Float32Array(buffer);
    this.#i32 = new Int32Array(buffer);
  }

  #ensure(byteLength: number, name: string, bytes: number, category: Category): void {
    if (this.memory === undefined) return;
    const missing = byteLength - this.memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.memory.grow(Math.ceil(missing / PAGE_BYTES));
    } catch {
      throw this.#outOfMemory(name, bytes, category);
    }
  }

  #outOfMemory(name: string, bytes: number, category: Category): OutOfDeviceMemoryError {
    return new OutOfDeviceMemoryError(
      `Cannot allocate ${formatBytes(bytes)} of ${category} for ${name}: device memory is ` +
        `${formatBytes(this.capBytes)}, in use are ${formatTable(this.#used)}; ` +
        `allow more with --device-memory, or make the micro-batch, the context or the model smaller`,
    );
  }
}

/** Zero bytes in every category. */
export function emptyTable(): ByteTable {
  return { parameters: 0, gradients: 0, optimizer: 0, activations: 0, cache: 0, buffers: 0, workspace: 0 };
}

/** A heap without memory, to build models that only have sizes. */
export function phantomHeap(): DeviceHeap {
  return new DeviceHeap({ capBytes: Number.MAX_SAFE_INTEGER });
}

/** Sum over the categories. */
export function sumTable(table: ByteTable): number {
  let sum = 0;
  for (const category of CATEGORIES) sum += table[category];
  return sum;
}

/** `parameters 12.0 MiB, gradients 12.0 MiB`: the categories that are not empty. */
export function formatTable(table: ByteTable): string {
  const parts = CATEGORIES.filter((c) => table[c] > 0).map((c) => `${c} ${formatBytes(table[c])}`);
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

/** Bytes with a binary unit: `512 B`, `1.5 KiB`, `3.2 MiB`, `1.0 GiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024, unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

function alignUp(bytes: number): number {
  return Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES;
}
