/**
 * Elementary functions on four float32 lanes, without `Math.*`: the same bits on every machine that fuses
 * multiply-add (and on every machine that does not).
 *
 * Errors are in units in the last place of the true result, and hold for denormal results too. They are measured
 * by `tests/kernels/math_test.ts` against float64 over dense samples of the whole range.
 *
 * Source: Moshier, Cephes (single), for the polynomials and the two-part ln 2; the reductions of exp and log by
 * integer arithmetic are those of Shibata and Petrogalli, SLEEF, IEEE TPDS 2020, and of musl.
 */
import type { Kernel } from "./builder.ts";
import type { V128 } from "./values.ts";

/** ln 2 in two parts; the first has so few bits that its products with exponents are exact. */
const LN2_HIGH = 0.693359375, LN2_LOW = -2.12194440e-4;
const SIGN_BIT = -0x80000000;

/** Added to a small float it leaves its nearest integer in the low bits: 1.5 * 2^23, and its bits. */
const ROUND = 12582912, ROUND_BITS = 0x4b400000;

const EXP = [
  1.9875691500e-4,
  1.3981999507e-3,
  8.3334519073e-3,
  4.1665795894e-2,
  1.6666665459e-1,
  5.0000001201e-1,
];
const LOG = [
  7.0376836292e-2,
  -1.1514610310e-1,
  1.1676998740e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
];
const TANH = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1];

/**
 * `e^(x^2 / 2) (1 - Phi(x)) = t P(t)` with `t = 1 / (1 + 0.3 x)`: a minimax fit for x in 0..14.5, relative error 3.5e-9
 * before rounding.
 */
const NORMAL = [
  -0.020623552,
  0.11243606,
  -0.22821465,
  0.19178593,
  -0.079424635,
  0.09615744,
  0.07838944,
  0.11023547,
  0.11957181,
  0.11968669,
];
const NORMAL_SCALE = 0.3;
/** Beyond this, 1 - Phi(x) is 0 in float32. */
const NORMAL_LIMIT = 15;

/** 2u of gelu_new: `2 sqrt(2 / pi) (x + 0.044715 x^3)`. */
const GELU_LINEAR = 2 * 0.7978845608028654, GELU_CUBIC = GELU_LINEAR * 0.044715;
/** Beyond this, gelu is x or 0 in float32, and its gradient 1 or 0. */
const GELU_LIMIT = 20;

/** e^x; at most 1.02 ulp off. 0 below -104, infinite above 88.73. */
export function exp(k: Kernel, x: V128): V128 {
  const clamped = k.let(x.pmax(k.constant(-104)).pmin(k.constant(89)));
  const shifted = k.let(clamped.madd(k.constant(Math.LOG2E), k.constant(ROUND)));
  const n = k.let(shifted.sub(k.constant(ROUND)));
  const r = k.let(n.nmadd(k.constant(LN2_LOW), n.nmadd(k.constant(LN2_HIGH), clamped)));
  const power = k.let(polynomial(k, r, EXP).madd(r.mul(r), r).add(k.constant(1)));
  // 2^n as a product of two powers, as 2^128 and 2^-150 are no normal floats: only the last one may round.
  const exponent = k.let(shifted.subI32(k.constantI32(ROUND_BITS)));
  const half = k.let(exponent.shrI32(1));
  return power.mul(powerOfTwo(k, half)).mul(powerOfTwo(k, exponent.subI32(half)));
}

/** Natural logarithm; at most 0.8 ulp off. `log(0) = -Infinity`, NaN below 0. */
export function log(k: Kernel, x: V128): V128 {
  const value = k.let(x), zero = k.constant(0);
  const isSmall = k.let(value.lt(k.constant(2 ** -126)));
  const normal = isSmall.select(value.mul(k.constant(2 ** 23)), value);
  // Bits above those of sqrt(1/2): the exponent of x = m 2^e with m in [sqrt(1/2), sqrt(2)).
  const bits = k.let(normal.subI32(k.constantI32(SQRT_HALF_BITS)));
  const e = k.let(bits.shrI32(23).fromI32().sub(isSmall.and(k.constant(23))));
  const m = bits.and(k.constantI32(0x7fffff)).addI32(k.constantI32(SQRT_HALF_BITS));
  const r = k.let(m.sub(k.constant(1)));
  const square = k.let(r.mul(r));
  const tail = e.madd(k.constant(LN2_LOW), polynomial(k, r, LOG).mul(r.mul(square)));
  const small = square.nmadd(k.constant(0.5), tail);
  const result = e.madd(k.constant(LN2_HIGH), r.add(small));
  const special = value.eq(zero).select(k.constant(-Infinity), k.constant(NaN));
  const above = value.lt(k.constant(Infinity)).select(result, value);
  return value.gt(zero).select(above, special);
}

/** Hyperbolic tangent; at most 1.3 ulp off, also near 0. */
export function tanh(k: Kernel, x: V128): V128 {
  const value = k.let(x);
  const sign = value.and(k.constantI32(SIGN_BIT));
  const size = k.let(value.abs());
  const square = k.let(size.mul(size));
  const near = polynomial(k, square, TANH).mul(square).madd(size, size);
  const power = exp(k, size.add(size));
  const far = k.constant(1).sub(k.constant(2).div(power.add(k.constant(1))));
  return size.lt(k.constant(0.625)).select(near, far).or(sign);
}

/** Derivative of {@link tanh}, `1 - tanh(x)^2` without its cancellation; at most 5 ulp off. */
export function tanhGradient(k: Kernel, x: V128): V128 {
  const { power } = sigmoidParts(k, k.let(x.add(x)));
  const inverse = k.let(k.constant(2).div(power.add(k.constant(1))));
  return power.mul(inverse).mul(inverse);
}

/** `1 / (1 + e^-x)`; at most 2.5 ulp off, also where the result is denormal. */
export function sigmoid(k: Kernel, x: V128): V128 {
  const value = k.let(x);
  const { power, isNegative } = sigmoidParts(k, value);
  return isNegative.select(power, k.constant(1)).div(power.add(k.constant(1)));
}

/**
 * `gelu_new`, `0.5 x (1 + tanh u)` written as `x sigmoid(2u)`, so that nothing cancels for negative x. The relative
 * error is at most `(4 + 3 |2u|) ulp` (the rounding of 2u, seen through exp); `gelu(-Infinity) = -0`.
 */
export function gelu(k: Kernel, x: V128): V128 {
  const value = k.let(x.pmax(k.constant(-GELU_LIMIT)));
  return value.mul(sigmoid(k, geluArgument(k, value)));
}

/**
 * Derivative of {@link gelu}: `s + x s (1 - s) (2u)'` with s = sigmoid(2u). Absolute error at most 5e-7; relative
 * accuracy is lost at its root near x = -0.75.
 */
export function geluGradient(k: Kernel, x: V128): V128 {
  const value = k.let(x.pmax(k.constant(-GELU_LIMIT)).pmin(k.constant(GELU_LIMIT)));
  const { power, isNegative } = sigmoidParts(k, k.let(geluArgument(k, value)));
  const larger = k.let(k.constant(1).div(power.add(k.constant(1))));
  const smaller = k.let(power.mul(larger));
  const slope = value.mul(value).madd(k.constant(3 * GELU_CUBIC), k.constant(GELU_LINEAR));
  const s = isNegative.select(smaller, larger);
  return value.mul(slope).madd(larger.mul(smaller), s);
}

/**
 * `x Phi(x)` with the distribution function Phi of the normal distribution: the gelu with erf. The relative error is at
 * most `(5 + x^2) ulp` (the rounding of x^2, seen through exp); `geluErf(-Infinity) = -0`.
 */
export function geluErf(k: Kernel, x: V128): V128 {
  const value = k.let(x.pmax(k.constant(-NORMAL_LIMIT)));
  return value.mul(normalParts(k, value).phi);
}

/** Derivative of {@link geluErf}: `Phi(x) + x Phi'(x)`. Absolute error at most 5e-7. */
export function geluErfGradient(k: Kernel, x: V128): V128 {
  const value = k.let(x.pmax(k.constant(-NORMAL_LIMIT)).pmin(k.constant(NORMAL_LIMIT)));
  const { phi, power } = normalParts(k, value);
  return value.mul(power).madd(k.constant(1 / Math.sqrt(2 * Math.PI)), phi);
}

/** Phi(x), and `e^(-x^2 / 2)`. The tail is the power times a polynomial in `1 / (1 + c |x|)`: nothing cancels. */
function normalParts(k: Kernel, value: V128): { phi: V128; power: V128 } {
  const size = k.let(value.abs().pmin(k.constant(NORMAL_LIMIT)));
  const power = k.let(exp(k, size.mul(size).mul(k.constant(-0.5))));
  const t = k.let(k.constant(1).div(size.madd(k.constant(NORMAL_SCALE), k.constant(1))));
  const tail = k.let(polynomial(k, t, NORMAL).mul(t).mul(power));
  return { phi: value.lt(k.constant(0)).select(tail, k.constant(1).sub(tail)), power };
}

/** Bits of the float32 next to sqrt(1/2). */
const SQRT_HALF_BITS = 0x3f3504f3;

/** `e^-|x|`, which never overflows, and the lanes where x is negative. */
function sigmoidParts(k: Kernel, x: V128): { power: V128; isNegative: V128 } {
  const power = k.let(exp(k, x.or(k.constantI32(SIGN_BIT))));
  return { power, isNegative: x.lt(k.constant(0)) };
}

function geluArgument(k: Kernel, x: V128): V128 {
  return x.mul(x.mul(x).madd(k.constant(GELU_CUBIC), k.constant(GELU_LINEAR)));
}

/** Horner's rule; the first coefficient is that of the highest power. */
function polynomial(k: Kernel, x: V128, coefficients: readonly number[]): V128 {
  return coefficients.slice(1).reduce<V128>(
    (sum, coefficient) => sum.madd(x, k.constant(coefficient)),
    k.constant(coefficients[0]),
  );
}

/** 2^n for int32 lanes n in -126..127. */
function powerOfTwo(k: Kernel, n: V128): V128 {
  return n.addI32(k.constantI32(127)).shlI32(23);
}
