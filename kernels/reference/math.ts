/**
 * Elementary functions of the reference backend, in float64.
 */
import type { UnaryOp } from "../backend.ts";

const GELU_SCALE = 2 * Math.sqrt(2 / Math.PI), GELU_CUBIC = 0.044715;

/** `1 / (1 + e^-x)`. */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** `gelu_new`; its limit, -0, at -Infinity. */
export function gelu(x: number): number {
  return x === -Infinity ? -0 : x * sigmoid(GELU_SCALE * (x + GELU_CUBIC * x ** 3));
}

/** Derivative of {@link gelu}. */
export function geluGradient(x: number): number {
  const bounded = Math.max(-30, Math.min(30, x)); // 0 or 1 beyond; keeps Infinity * 0 out
  const argument = GELU_SCALE * (bounded + GELU_CUBIC * bounded ** 3);
  const slope = GELU_SCALE * (1 + 3 * GELU_CUBIC * bounded * bounded);
  return sigmoid(argument) + bounded * sigmoid(argument) * sigmoid(-argument) * slope;
}

/** Distribution function of the normal distribution: a series near 0, a continued fraction beyond. */
export function normalDistribution(x: number): number {
  const size = Math.min(Math.abs(x), 40), density = Math.exp(-size * size / 2) / Math.sqrt(2 * Math.PI);
  if (size < 4) {
    let term = size, sum = size;
    for (let n = 3; Math.abs(term) > sum * 1e-17; n += 2) sum += term *= size * size / n;
    return 0.5 + Math.sign(x) * density * sum;
  }
  let tail = size;
  for (let n = 60; n > 0; n--) tail = size + n / tail;
  return x < 0 ? density / tail : 1 - density / tail;
}

/** `x Phi(x)`, the gelu with erf; its limit, -0, at -Infinity. */
export function geluErf(x: number): number {
  return x === -Infinity ? -0 : x * normalDistribution(x);
}

/** Derivative of {@link geluErf}. */
export function geluErfGradient(x: number): number {
  const bounded = Math.max(-30, Math.min(30, x));
  return normalDistribution(bounded) + bounded * Math.exp(-bounded * bounded / 2) / Math.sqrt(2 * Math.PI);
}

/** `e^(score - max)` of a row of scores, their sum, and the largest score unless it is given. */
export function exponentials(row: ArrayLike<number>, given?: number): {
  powers: Float64Array;
  total: number;
  max: number;
} {
  const scores = Float64Array.from(row), max = given ?? scores.reduce((a, x) => Math.max(a, x), -Infinity);
  const powers = scores.map((score) => Math.exp(score - max));
  return { powers, total: powers.reduce((a, power) => a + power, 0), max };
}

/** Value and derivative of every unary op. */
export const UNARY: Record<UnaryOp, { value(x: number): number; derivative(x: number): number }> = {
  gelu: { value: gelu, derivative: geluGradient },
  geluErf: { value: geluErf, derivative: geluErfGradient },
  relu: { value: (x) => x < 0 ? 0 : x, derivative: (x) => x <= 0 ? 0 : 1 },
  tanh: { value: Math.tanh, derivative: (x) => 4 * sigmoid(2 * x) * sigmoid(-2 * x) },
  exp: { value: Math.exp, derivative: Math.exp },
  log: { value: Math.log, derivative: (x) => 1 / x },
  square: { value: (x) => x * x, derivative: (x) => 2 * x },
};
