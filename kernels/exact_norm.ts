/**
 * The norm of a tensor that may be spread over devices, with bits that do not depend on how: elements become integers
 * on one scale, whose squares are summed without rounding.
 *
 * @module
 */

/** Bits of the largest element's integer. */
const INTEGER_BITS = 18;

const float = new Float32Array(1), bits = new Int32Array(float.buffer);

/**
 * The power of two that makes integers of elements up to `maxAbs`: 2^17 to 2^18 for the largest, 1 without elements.
 *
 * Below 2^-109 it stays the largest float32 that is a power of two, so that there are fewer bits; NaN unless `maxAbs` is
 * finite, and so is the norm then.
 */
export function squareScale(maxAbs: number): number {
  if (maxAbs === 0) return 1;
  if (!(maxAbs < Infinity)) return NaN;
  float[0] = maxAbs;
  const exponent = Math.max(-126, (bits[0] >> 23) - 127);
  bits[0] = Math.min(127, INTEGER_BITS - 1 - exponent) + 127 << 23;
  return float[0];
}

/**
 * The norm of elements whose integers on `scale` have the sum of squares `high * 2^32 + low`, the sums of
 * `Backend.sumSquaresExact` over all parts. The same total has the same bits however it is divided between the two.
 *
 * With `scale = squareScale(maxAbs)` the relative error is at most `sqrt(n) / 2^18` for n elements, if all roundings line
 * up. If they do not it is about `r / sqrt(n) / 2^18 + r^2 / 2^38` with r the largest element over the root mean square:
 * 1e-6 for r = 500.
 */
export function normFromSquares(high: number, low: number, scale: number): number {
  return Math.sqrt(high * 2 ** 32 + low) / scale;
}
