import type { Elements } from "../../../collectives/algorithms/serial.ts";
import { type DType, fromBf16, toBf16 } from "../../../kernels/mod.ts";

/** Values that go wrong first: signs of zero, infinities, NaN, big beside small, denormals. */
const SPECIAL = [0, -0, 1, -1, 1e30, -1e30, 1e-30, 1e-42, Infinity, NaN, 3.1415927, 16777217];

/** Elements of a rank, the same for every caller: ordinary numbers with special ones in between. */
export function inputOf(rank: number, length: number, dtype: DType): Elements {
  const values = dtype === "f64"
    ? new Float64Array(length)
    : dtype === "i32"
    ? new Int32Array(length)
    : new Float32Array(length);
  let state = (rank * 7919 + length * 104729 + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const isSpecial = dtype !== "i32" && (state >>> 8) % 5 === 0;
    const uniform = (state - 2 ** 31) / 2 ** 20;
    values[i] = isSpecial ? SPECIAL[(state >>> 16) % SPECIAL.length] : uniform;
  }
  return dtype === "bf16" ? values.map((x: number) => fromBf16(toBf16(x))) : values;
}

/** Index of the first element with other bits, -1 if there is none; all NaN are equal. */
export function firstDifference(a: Elements, b: Elements): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  return a.findIndex((value: number, i: number) => !Object.is(value, b[i]));
}
