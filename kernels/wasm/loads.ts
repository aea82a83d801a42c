/**
 * Loads as typed expressions.
 */
import { memoryArgument } from "./encode.ts";
import { F32, F64, I32, V128 } from "./values.ts";

/** Where in which memory: a constant offset in bytes, and the index of an imported memory. */
export interface Place {
  offset?: number;
  memory?: number;
}

/** Loads; addresses are bytes. */
export const load = {
  i32: (address: I32, place: Place = {}): I32 => new I32([...address.code, 0x28, ...argument(2, place)]),
  u16: (address: I32, place: Place = {}): I32 => new I32([...address.code, 0x2f, ...argument(1, place)]),
  f32: (address: I32, place: Place = {}): F32 => new F32([...address.code, 0x2a, ...argument(2, place)]),
  f64: (address: I32, place: Place = {}): F64 => new F64([...address.code, 0x2b, ...argument(3, place)]),
  v128: (address: I32, place: Place = {}): V128 =>
    new V128([...address.code, 0xfd, 0, ...argument(2, place)]),
  /** Four 16-bit numbers into int32 lanes, zeros above. */
  u16x4: (address: I32, place: Place = {}): V128 =>
    new V128([...address.code, 0xfd, 4, ...argument(1, place)]),
  /** One float32 into all four lanes. */
  splat: (address: I32, place: Place = {}): V128 =>
    new V128([...address.code, 0xfd, 9, ...argument(2, place)]),
};

/** The encoded memory argument of a place. */
export function argument(alignLog2: number, place: Place): number[] {
  return memoryArgument(alignLog2, place.offset ?? 0, place.memory ?? 0);
}
