import type { DeviceHeap } from "../memory/heap.ts";
import { type DType, DTYPE_BYTES, type Span } from "../memory/span.ts";
import { addBf16 } from "../wasm/bf16.ts";
import { type Kernels, ModuleBuilder } from "../wasm/builder.ts";
import { compileOnce } from "../wasm/compile_once.ts";

/** A span that moves: of a block that is computed next. */
export type BlockSpan = { -readonly [key in keyof Span]: Span[key] };

/** Rows of equal length in device memory: byte offset of the first, elements from one to the next. */
export interface Rows {
  readonly span: Span;
  /** First element, counted from the start of the span. */
  readonly start: number;
  /** Elements from one row to the next. */
  readonly ld: number;
  readonly rows: number;
  readonly cols: number;
}

/** Elements of a line: pieces of the staging memory start on lines. */
const LINE_ELEMENTS = 16;
/** Smallest staging memory in elements; it grows to powers of two, so that its predecessors take no more than it does. */
const MIN_ELEMENTS = 4096;

/**
 * Float32 memory that bf16 operands of one operation are computed on, and the kernels that copy there and back.
 *
 * Nothing in it outlives an operation. On a heap without memory it takes the same bytes and copies nothing.
 */
export class Bf16Staging {
  readonly heap: DeviceHeap;
  readonly #kernels: Kernels;
  #span: Span | undefined;
  #next = 0;

  /** Takes memory of `heap` when it is first needed. */
  constructor(heap: DeviceHeap) {
    this.heap = heap;
    this.#kernels = instantiate(heap);
  }

  /** Begins an operation that takes pieces of these lengths; what earlier ones staged is gone. */
  begin(lengths: readonly number[]): void {
    const sum = lengths.reduce((all, length) => all + lines(length), 0);
    this.#next = 0;
    if (this.#span !== undefined && this.#span.length >= sum) return;
    const length = Math.max(MIN_ELEMENTS, 2 ** Math.ceil(Math.log2(sum)));
    if (this.#span !== undefined) this.heap.free(this.#span);
    this.#span = this.heap.allocate("float32 copies of bf16 operands", length, "workspace");
  }

  /** The next piece, of a length that {@link begin} was told. */
  take(length: number): BlockSpan {
    const byteOffset = this.#span!.byteOffset + 4 * this.#next;
    this.#next += lines(length);
    return { byteOffset, length, dtype: "f32" };
  }

  /** `to = from`: float32 of `length` elements of bf16 from element `start` on. */
  widen(from: Span, start: number, to: Span, length: number): void {
    this.#kernels.widen(from.byteOffset + 2 * start, to.byteOffset, length);
  }

  /** `to = from`, rounded: `length` elements of bf16 from element `start` on. */
  narrow(from: Span, to: Span, start: number, length: number): void {
    this.#kernels.narrow(from.byteOffset, to.byteOffset + 2 * start, length);
  }

  /** Float32 rows, tight, of rows of bf16 or of float32. */
  widenRows({ span, start, ld, rows, cols }: Rows, to: Span): void {
    const size = DTYPE_BYTES[span.dtype],
      copy = isBf16(span) ? this.#kernels.widenRows : this.#kernels.copyRows;
    copy(span.byteOffset + size * start, size * ld, to.byteOffset, 4 * cols, rows, cols);
  }

  /** Rows of bf16 or of float32 of tight float32 rows. */
  narrowRows(from: Span, { span, start, ld, rows, cols }: Rows): void {
    const size = DTYPE_BYTES[span.dtype],
      copy = isBf16(span) ? this.#kernels.narrowRows : this.#kernels.copyRows;
    copy(from.byteOffset, 4 * cols, span.byteOffset + size * start, size * ld, rows, cols);
  }

  /** Float32 rows of a bf16 table; -0 for a negative id. `first` and `rows` say which of the ids. */
  gather(ids: Span, { first, rows, cols }: { first: number; rows: number; cols: number }, of: Table): void {
    this.#kernels.gatherWiden(
      ids.byteOffset + 4 * first,
      of.table.byteOffset,
      of.out.byteOffset,
      rows,
      cols,
    );
  }

  /** All elements of a bf16 span. */
  fill(bits: number, span: Span): void {
    this.#kernels.fillBf16(bits, span.byteOffset, span.length);
  }

  /** The bits of bf16 elements; the spans may overlap. */
  copy(from: Span, to: Span): void {
    this.#kernels.copyBytes(from.byteOffset, to.byteOffset, 2 * from.length);
  }
}

/** What rows are fetched from and written to. */
interface Table {
  readonly table: Span;
  readonly out: Span;
}

/** Whether a value among an operation's arguments is a span of bf16. */
export function isBf16(value: unknown): boolean {
  return (value as { dtype?: DType } | undefined)?.dtype === "bf16";
}

function lines(length: number): number {
  return Math.ceil(length / LINE_ELEMENTS) * LINE_ELEMENTS;
}

function instantiate(heap: DeviceHeap): Kernels {
  if (heap.memory === undefined) return NO_KERNELS;
  const module = compileOnce("bf16", () => {
    const builder = new ModuleBuilder();
    addBf16(builder);
    return builder.encode();
  });
  const env = { memory0: heap.memory };
  return new WebAssembly.Instance(module, { env }).exports as Kernels;
}

const NO_KERNELS = Object.fromEntries(
  ["widen", "narrow", "widenRows", "narrowRows", "copyRows", "gatherWiden", "fillBf16", "copyBytes"]
    .map((name) => [name, () => 0]),
);
