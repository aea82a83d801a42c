import { assertEquals, assertThrows } from "@std/assert";
import { type Span, subspan, type UnaryOp } from "../../kernels/mod.ts";
import { type BackendPair, type Bound, EPS, noise, SPECIALS, ulp } from "./backend_pair.ts";

const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 31, 1021];
const UNARY: UnaryOp[] = ["gelu", "geluErf", "relu", "tanh", "exp", "log", "square"];

/** In ulp: those of kernels/wasm/math.ts, plus the half of the oracle's own rounding. */
function unaryBound(op: UnaryOp, x: Float32Array): Bound {
  const argument = (i: number) => Math.min(200, 1.6 * Math.abs(x[i]) + 0.0714 * Math.abs(x[i]) ** 3);
  const ulps: Record<UnaryOp, (i: number) => number> = {
    gelu: (i) => 4.5 + 3 * argument(i),
    geluErf: (i) => 5.5 + Math.min(200, x[i] ** 2),
    relu: () => 0,
    tanh: () => 2.5,
    exp: () => 1.5,
    log: () => 1.5,
    square: () => 0,
  };
  return (i, want) => ulps[op](i) * ulp(want);
}

/** Error of dX: the derivative's, times dOut, and the rounding of the product and of the addition. */
function backwardBound(op: UnaryOp, d: Float32Array, before: Float32Array): Bound {
  const ulps: Record<UnaryOp, number> = {
    gelu: 2,
    geluErf: 2,
    relu: 0,
    tanh: 7,
    exp: 2.5,
    log: 2.5,
    square: 1.5,
  };
  return (i, want) => {
    if (op === "relu" && before[i] === 0) return 0;
    const derivative = op.startsWith("gelu") ? 5e-7 * Math.abs(d[i]) : 0;
    return derivative + (ulps[op] + 2) * (ulp(want) + ulp(before[i]));
  };
}

function inputs(): Float32Array[] {
  return [...LENGTHS.map((n) => noise(n, n).map((x) => 6 * x)), new Float32Array(SPECIALS)];
}

/** Operations on single elements, on any backend. */
export const ELEMENT_CASES: Record<string, (pair: BackendPair) => void> = {
  "rotary() of all shapes, there and back, in place too"(pair) {
    for (const [rows, heads, headDim] of [[0, 2, 4], [1, 1, 2], [3, 2, 6], [5, 3, 16], [2, 4, 34]]) {
      const length = rows * heads * headDim;
      for (const isBack of [false, true]) {
        const x = pair.tensor(noise(length, 1)), angles = pair.tensor(noise(rows * headDim, 2));
        const out = pair.tensor(noise(length, 3)), sizes = { rows, heads, headDim, angles, isBack };
        // Two products of numbers below 1, and their sum.
        pair.compare(`${rows}x${heads}x${headDim}`, [[out, 4 * EPS]], (b) => b.rotary({ ...sizes, x, out }));
        pair.compare(`${rows} in place`, [[x, 4 * EPS]], (b) => b.rotary({ ...sizes, x, out: x }));
      }
    }
    const x = pair.tensor(noise(12, 1));
    const short = { rows: 2, heads: 1, headDim: 6, x, angles: pair.tensor(noise(11, 1)), out: x };
    assertThrows(() => pair.candidate.rotary(short), RangeError, "angles needs 12 elements, its span has 11");
    assertThrows(
      () => pair.candidate.rotary({ ...short, headDim: 5 }),
      RangeError,
      "headDim must be even, it is 5",
    );
  },

  "unary() of all ops and lengths, and of special values"(pair) {
    for (const values of inputs()) {
      const x = pair.tensor(values), out = pair.tensor(noise(values.length));
      for (const op of UNARY) {
        pair.compare(
          `${op} ${values.length}`,
          [[out, unaryBound(op, values)]],
          (b) => b.unary({ op, x, out }),
        );
        const inPlace = pair.tensor(values);
        const args = { op, x: inPlace, out: inPlace };
        pair.compare(`${op} in place`, [[inPlace, unaryBound(op, values)]], (b) => b.unary(args));
      }
    }
  },

  "unaryBackward() of all ops and lengths, and of special values"(pair) {
    for (const values of inputs()) {
      const x = pair.tensor(values), d = noise(values.length, 7), dOut = pair.tensor(d);
      for (const op of UNARY) {
        for (const accumulate of [false, true]) {
          const before = accumulate ? noise(values.length, 8) : new Float32Array(values.length);
          const dX = pair.tensor(before), args = { op, x, dOut, dX, accumulate };
          const what = `${op} ${values.length} ${accumulate}`;
          pair.compare(what, [[dX, backwardBound(op, d, before)]], (b) => b.unaryBackward(args));
        }
        const inPlace = pair.tensor(d), args = { op, x, dOut: inPlace, dX: inPlace };
        const bound = backwardBound(op, d, new Float32Array(values.length));
        pair.compare(`${op} in place`, [[inPlace, bound]], (b) => b.unaryBackward(args));
      }
    }
  },

  "binary() has the bits of float32 arithmetic"(pair) {
    for (const values of inputs()) {
      const a = pair.tensor(values), b = pair.tensor(values.toReversed()), out = pair.tensor(values);
      for (const op of ["add", "sub", "mul"] as const) {
        for (const target of [out, a]) {
          pair.compare(op, [[target, 0]], (x) => x.binary({ op, a, b, out: target }));
        }
      }
    }
  },

  "scale(), fill() and copy() have the bits of float32 arithmetic"(pair) {
    for (const values of inputs()) {
      const x = pair.tensor(values), y = pair.tensor(noise(values.length));
      pair.compare("copy", [[y, 0]], (b) => b.copy(x, y));
      pair.compare("scale", [[y, 0]], (b) => b.scale(-0.375, y));
      pair.compare("fill", [[y, 0]], (b) => b.fill(-0, y));
    }
  },

  "axpy() is within one rounding of product and sum"(pair) {
    for (const values of inputs()) {
      const x = pair.tensor(values), y = pair.tensor(noise(values.length));
      const bound: Bound = (i, want) => EPS * Math.abs(0.7 * values[i]) + ulp(want);
      pair.compare("axpy", [[y, bound]], (b) => b.axpy(Math.fround(0.7), x, y));
    }
  },

  "addBias() has the bits of float32 arithmetic"(pair) {
    for (const [rows, cols] of [[0, 3], [3, 0], [1, 1], [3, 5], [17, 33]]) {
      const x = pair.tensor(noise(rows * cols)), bias = pair.tensor(noise(cols, 5));
      pair.compare(`${rows}x${cols}`, [[x, 0]], (b) => b.addBias({ rows, cols, x, bias, out: x }));
    }
  },

  "sum() and sumSquares() are those of float64"(pair) {
    for (const values of inputs()) {
      const x = pair.tensor(values), total = pair.tensor([0, 0]);
      const size = values.reduce((sum, v) => sum + Math.abs(v), 0);
      const squares = values.reduce((sum, v) => sum + v * v, 0);
      // Far below the rounding to float32 that this comparison makes.
      const bound: Bound = (i, want) => values.length * 2 ** -53 * [size, squares][i] + ulp(want);
      pair.compare(`${values.length}`, [[total, bound]], (b) => {
        const sums = [b.sum(x), b.sumSquares(x)];
        pair.heap.f32(total).set(sums);
      });
    }
  },

  "maxAbs() has the largest magnitude, and NaN if there is one"(pair) {
    for (const values of [...inputs(), new Float32Array([-Infinity, 3, -0]), new Float32Array([-0])]) {
      const x = pair.tensor(values), largest = pair.tensor([0]);
      pair.compare(`${values.length}`, [[largest, 0]], (b) => pair.heap.f32(largest).set([b.maxAbs(x)]));
    }
  },

  "sumSquaresExact() is the sum of squared integers, ties to even, in any order"(pair) {
    const ties = [0.5, -0.5, 1.5, -2.5, 3.5, 0.49999997, -0.50000006, 2 ** -149, -(2 ** -140)];
    const large = noise(4099).map((x, i) => 2 ** 17 * x + (i % 2));
    const all = new Float32Array(101).fill(-(2 ** 18));
    for (const values of [...LENGTHS.map((n) => noise(n, n)), new Float32Array(ties), large, all]) {
      for (const scale of [2 ** -20, 1, 2 ** 17]) {
        if (scale * values.reduce((max, x) => Math.max(max, Math.abs(x)), 0) > 2 ** 18) continue;
        const x = pair.tensor(values), back = pair.tensor(values.toReversed()), out = pair.tensor([0, 0]);
        const both = pair.heap.allocate("sums", 2, "activations", "f64");
        pair.compare(`${values.length} at ${scale}`, [[out, 0]], (b) => {
          b.sumSquaresExact(scale, back, both);
          const reversed = [...pair.heap.f64(both)];
          b.sumSquaresExact(scale, x, both);
          assertEquals([...pair.heap.f64(both)], reversed);
          pair.heap.f32(out).set(reversed);
        });
      }
    }
  },

  "sumSquaresExact() reaches the upper half of its sum"(pair) {
    const x = pair.tensor(new Float32Array(1000).fill(2 ** 18 - 1));
    const out = pair.heap.allocate("sums", 2, "activations", "f64"), sum = 1000n * (2n ** 18n - 1n) ** 2n;
    pair.candidate.sumSquaresExact(1, x, out);
    assertEquals([...pair.heap.f64(out)], [Number(sum >> 32n), Number(sum & 0xffffffffn)]);
    assertThrows(() => pair.candidate.sumSquaresExact(1, x, subspan(out, 0, 1)), RangeError, "out needs 2");
    const long = { ...x, length: 2 ** 27 + 1 };
    assertThrows(() => pair.candidate.sumSquaresExact(1, long, out), RangeError, "x may have 2^27 elements");
  },

  "adamw() updates parameter and moments"(pair) {
    for (const n of LENGTHS) {
      for (const step of [1, 100]) adamwCase(pair, n, step);
    }
  },
};

function adamwCase(pair: BackendPair, n: number, step: number): void {
  const values = {
    parameter: noise(n, 1),
    gradient: noise(n, 2),
    m: noise(n, 3).map((x) => 0.1 * x),
    v: noise(n, 4).map((x) => 0.01 * x * x),
  };
  const beta1 = 0.9, beta2 = 0.999, learningRate = 1e-2, correction1 = 1 - beta1 ** step;
  const correction2 = 1 - beta2 ** step, epsilon = 1e-8, gradientScale = 0.5;
  const spans = Object.fromEntries(Object.entries(values).map(([key, x]) => [key, pair.tensor(x)]));
  const { parameter, gradient, m, v } = spans as Record<keyof typeof values, Span>;
  // Five roundings (constants, products, sum) of the two terms of each moment.
  const boundM: Bound = (i) => 5 * EPS * (Math.abs(values.m[i]) + 0.1 * Math.abs(values.gradient[i]));
  const boundV: Bound = (i) => 6 * EPS * (values.v[i] + values.gradient[i] ** 2);
  const boundP: Bound = (i) => {
    const g = values.gradient[i] * gradientScale, second = beta2 * values.v[i] + (1 - beta2) * g * g;
    const rate = learningRate / correction1 / (Math.sqrt(second / correction2) + epsilon);
    const first = Math.abs(values.m[i]) + 0.1 * Math.abs(g);
    return 20 * EPS * rate * first + 2 * EPS * (Math.abs(values.parameter[i]) + rate * first);
  };
  const numbers = { learningRate, beta1, beta2, epsilon, weightDecay: 0.1, correction1, correction2 };
  pair.compare(
    `adamw ${n}`,
    [[parameter, boundP], [m, boundM], [v, boundV]],
    (b) => b.adamw({ parameter, gradient, m, v, ...numbers, gradientScale }),
  );
}
