/**
 * Kernels of whole tensors whose result does not depend on the order of the elements: the largest, and sums of squares
 * of integers in 64 bits.
 */
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { unsigned } from "./encode.ts";
import { F64, type I32, V128 } from "./values.ts";

/** Adding it to a float32 below 2^22 rounds that to an integer, ties to even, in the low bits of the sum. */
const ROUNDER = 1.5 * 2 ** 23;
const ROUNDER_BITS = 0x4b400000;

/**
 * Adds to a module: `maxAbs(x, n)`, which returns a float32, and `sumSquaresExact(scale, x, n, out)`, which stores two
 * float64.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addExactSums(module: ModuleBuilder): void {
  module.func("maxAbs", parameters("i32", "x", "n"), (k, { x, n }) => {
    const largest = [k.v128(), k.v128()];
    // As integers: magnitudes have the order of their bits, and NaN is above all.
    k.vectors(n, (v) => largest[v.part].set(maxI32(largest[v.part], v.valid(v.load(x)).abs())));
    const both = k.let(maxI32(largest[0], largest[1]));
    const pairs = k.let(maxI32(both, both.shuffle(both, [2, 3, 0, 1])));
    return maxI32(pairs, pairs.shuffle(pairs, [1, 0, 3, 2])).lane(0);
  });
  const params = { scale: "f32", ...parameters("i32", "x", "n", "out") } as const;
  module.func("sumSquaresExact", params, (k, { scale, x, n, out }) => {
    const factor = k.let(scale.splat()), rounder = k.constant(ROUNDER), bits = k.constantI32(ROUNDER_BITS);
    const sums = Array.from({ length: 4 }, () => k.v128());
    k.vectors(n, (v) => {
      // A scale that is a power of two makes the product exact, so fused or not makes no difference.
      const q = k.let(v.valid(v.load(x)).madd(factor, rounder).subI32(bits));
      const low = sums[2 * v.part], high = sums[2 * v.part + 1];
      low.set(addI64(low, squaresI64(q, EXTMUL_LOW)));
      high.set(addI64(high, squaresI64(q, EXTMUL_HIGH)));
    });
    storeTotal(k, sums, out);
  });
}

/** Stores `floor(total / 2^32)` and `total mod 2^32` as float64. */
function storeTotal(k: Kernel, sums: readonly V128[], out: I32): void {
  const all = k.let(addI64(addI64(sums[0], sums[1]), addI64(sums[2], sums[3])));
  const total = k.let(addI64(all, all.shuffle(all, [2, 3, 0, 1])));
  k.storeF64(out, unsignedLane(total, 1));
  k.storeF64(out, unsignedLane(total, 0), { offset: 8 });
}

const EXTMUL_LOW = 220, EXTMUL_HIGH = 221;

/** Squares of the two low or high int32 lanes, as int64. */
function squaresI64(value: V128, opcode: typeof EXTMUL_LOW | typeof EXTMUL_HIGH): V128 {
  return new V128([...value.code, ...value.code, 0xfd, ...unsigned(opcode)]);
}

function addI64(a: V128, b: V128): V128 {
  return new V128([...a.code, ...b.code, 0xfd, ...unsigned(206)]);
}

function maxI32(a: V128, b: V128): V128 {
  return new V128([...a.code, ...b.code, 0xfd, ...unsigned(184)]);
}

/** An int32 lane, read as an unsigned number. */
function unsignedLane(value: V128, index: number): F64 {
  return new F64([...value.code, 0xfd, ...unsigned(27), index, 0xb8]);
}
