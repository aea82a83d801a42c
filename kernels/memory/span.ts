/** Element types that device memory holds. `bf16` is stored as the upper 16 bits of an f32. */
export type DType = "f32" | "i32" | "bf16" | "f64";

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = { f32: 4, i32: 4, bf16: 2, f64: 8 };

/**
 * A run of elements in the memory of one device: the only currency between layers.
 *
 * A span says where in *its* device's memory; the same numbers on another device mean another place.
 */
export interface Span {
  /** Bytes from the start of the device's memory; a multiple of the element size. */
  readonly byteOffset: number;
  /** Number of elements. */
  readonly length: number;
  /** Type of the elements. */
  readonly dtype: DType;
}

/** Number of elements of a tensor with dims of these sizes; of none, 1. */
export function numElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes that a span covers. */
export function spanByteLength(span: Span): number {
  return span.length * DTYPE_BYTES[span.dtype];
}

/**
 * The elements `[start, start + length)` of a span, as a span of the same memory.
 *
 * @throws {RangeError} If the range does not lie inside the span.
 */
export function subspan(span: Span, start: number, length: number = span.length - start): Span {
  if (start < 0 || length < 0 || start + length > span.length) {
    throw new RangeError(
      `Cannot take elements ${start}..${start + length} of a span as it has ${span.length} elements`,
    );
  }
  return { byteOffset: span.byteOffset + start * DTYPE_BYTES[span.dtype], length, dtype: span.dtype };
}
