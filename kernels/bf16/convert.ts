/**
 * bf16 on the host: numbers, and spans whose element type is not known. What computes on devices is `bf16_backend.ts`.
 *
 * @module
 */
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";

/** Element types of parameters, activations and gradients: what a run stores them as. */
export const PRECISIONS = ["f32", "bf16"] as const;
/** One of {@link PRECISIONS}. */
export type Precision = typeof PRECISIONS[number];

const FLOAT = new Float32Array(1), BITS = new Uint32Array(FLOAT.buffer);

/** The 16 bits of the bf16 nearest to a number, ties to even; a quiet NaN of a NaN. */
export function toBf16(value: number): number {
  FLOAT[0] = value;
  if (Number.isNaN(value)) return (BITS[0] | 0x400000) >>> 16;
  return (BITS[0] + 0x7fff + ((BITS[0] >>> 16) & 1)) >>> 16;
}

/** The number that 16 bits stand for; exact. */
export function fromBf16(bits: number): number {
  BITS[0] = bits << 16;
  return FLOAT[0];
}

/** The elements of an f32 or bf16 span as float32: a view of an f32 span, a copy of a bf16 span. */
export function readElements(heap: DeviceHeap, span: Span): Float32Array {
  return span.dtype === "bf16" ? Float32Array.from(heap.u16(span), fromBf16) : heap.f32(span);
}

/** Writes values to an f32 or bf16 span from element `start` on; those of bf16 are rounded. */
export function writeElements(heap: DeviceHeap, span: Span, values: ArrayLike<number>, start = 0): void {
  if (span.dtype !== "bf16") return heap.f32(span).set(values, start);
  const elements = heap.u16(span);
  for (let i = 0; i < values.length; i++) elements[start + i] = toBf16(values[i]);
}
