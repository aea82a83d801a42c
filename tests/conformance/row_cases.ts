import { assert, assertThrows } from "@std/assert";
import { LAYER_NORM, LAYER_NORM_BACKWARD, SOFTMAX, SOFTMAX_BACKWARD } from "../../kernels/mod.ts";
import { type BackendPair, type Bound, chain, EPS, noise, ulp } from "./backend_pair.ts";

const SHAPES = [[0, 5], [3, 0], [1, 1], [2, 3], [3, 4], [5, 7], [4, 8], [17, 33], [3, 257]];

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((max, x) => Math.max(max, Math.abs(x)), 0);
}

/**
 * Relative error of a softmax whose scores spread over `spread`: the rounding of the difference to the maximum,
 * 2 eps of exp, the division, and the same for the terms of the sum.
 */
function softmaxError(spread: number, n: number): number {
  return EPS * (2 * (spread + 3) + chain(n) + 3);
}

/** Operations on rows, on any backend. */
export const ROW_CASES: Record<string, (pair: BackendPair) => void> = {
  "layerNorm() of all shapes"(pair) {
    for (const [rows, cols] of SHAPES) {
      for (const shift of [0, 10]) layerNormCase(pair, { rows, cols, shift });
    }
  },

  "layerNormBackward() of all shapes"(pair) {
    for (const [rows, cols] of SHAPES) {
      for (const accumulate of [false, true]) layerNormBackwardCase(pair, { rows, cols, accumulate });
    }
  },

  "softmax() of all shapes, in place too"(pair) {
    for (const [rows, cols] of SHAPES) {
      for (const scale of [1, 40]) {
        const values = noise(rows * cols).map((x) => scale * x);
        const x = pair.tensor(values), out = pair.tensor(values);
        const bound: Bound = (_, want) => softmaxError(2 * scale, cols) * want + 2 ** -148;
        pair.compare(`${rows}x${cols}`, [[out, bound]], (b) => b.row(SOFTMAX, { rows, cols, x, out }));
        pair.compare(
          `${rows}x${cols} in place`,
          [[x, bound]],
          (b) => b.row(SOFTMAX, { rows, cols, x, out: x }),
        );
      }
    }
  },

  "softmax() with -Infinity, NaN, Infinity and huge scores"(pair) {
    const rows = [[-Infinity, 1, 2, -Infinity, 3], [NaN, 1, 2, 3, 4], [Infinity, 1, 2, 3, 4], [
      1e30,
      -1e30,
      0,
      1,
      2,
    ]];
    for (const row of rows) {
      const x = pair.tensor(row), out = pair.tensor(row);
      pair.compare(
        `${row}`,
        [[out, softmaxError(5, 5)]],
        (b) => b.row(SOFTMAX, { rows: 1, cols: 5, x, out }),
      );
    }
  },

  "softmaxBackward() of all shapes"(pair) {
    for (const [rows, cols] of SHAPES) {
      const out = pair.tensor(noise(rows * cols).map(Math.abs)), dOut = pair.tensor(noise(rows * cols, 2));
      const bound = EPS * (chain(cols) + 4) * (cols + 1);
      const args = { rows, cols, out, dOut, dX: dOut };
      pair.compare(`${rows}x${cols}`, [[dOut, bound]], (b) => b.row(SOFTMAX_BACKWARD, args));
    }
  },

  "crossEntropy() of all shapes, with masked rows, with and without its gradient"(pair) {
    for (const [rows, cols] of SHAPES.filter(([rows, cols]) => cols > 0 || rows === 0)) {
      for (const spread of [1, 30]) crossEntropyCase(pair, { rows, cols, spread });
    }
  },

  "crossEntropy() keeps a small loss exact"(pair) {
    const logits = pair.tensor([100, 80, 85, 90, 0]), targets = pair.ids([0]), losses = pair.tensor([0]);
    const args = { rows: 1, cols: 5, logits, targets, losses, scale: 1 };
    // The loss is 4.5e-5, relative to 100: log(1 + x) of a float32 sum near 1.
    pair.compare("5", [[losses, 2 * EPS]], (b) => b.crossEntropy(args));
  },

  "gather(), gather() onto something, and scatterAdd()"(pair) {
    for (const cols of [1, 3, 4, 33]) {
      const table = pair.tensor(noise(7 * cols)), ids = pair.ids([3, 0, 6, 3, 3]), rows = 5;
      const x = pair.tensor(noise(rows * cols, 2));
      pair.compare("gather", [[x, 0]], (b) => b.gather({ rows, cols, ids, table, out: x }));
      const add = { rows, cols, ids, table, out: x, accumulate: true };
      pair.compare("gather, accumulate", [[x, 0]], (b) => b.gather(add));
      pair.compare("scatterAdd", [[table, 3 * EPS * 7]], (b) => b.scatterAdd({ rows, cols, ids, x, table }));
    }
  },

  "gather() and scatterAdd() leave rows with a negative id out"(pair) {
    for (const cols of [1, 4, 7, 33]) {
      const table = pair.tensor(noise(3 * cols)), ids = pair.ids([-1, 2, -(2 ** 31), 0]), rows = 4;
      const x = pair.tensor(noise(rows * cols, 2).fill(-0, 0, 1));
      const sizes = { rows, cols, ids };
      pair.compare("add", [[x, 0]], (b) => b.gather({ ...sizes, table, out: x, accumulate: true }));
      pair.compare("gather", [[x, 0]], (b) => b.gather({ ...sizes, table, out: x }));
      const masked = pair.values(x).subarray(0, cols);
      assert(masked.every((value) => Object.is(value, -0)), "a masked row changes nothing it is added to");
      pair.heap.f32(x).set(noise(rows * cols, 3));
      pair.compare("scatterAdd", [[table, 2 * EPS]], (b) => b.scatterAdd({ ...sizes, x, table }));
    }
  },

  "ids out of range are refused"(pair) {
    const table = pair.tensor(noise(12)), out = pair.tensor(noise(6)), losses = pair.tensor([0, 0]);
    const sizes = { rows: 2, cols: 3 };
    for (const bad of [4, 2 ** 31 - 1]) {
      const ids = pair.ids([1, bad]);
      const gather = () => pair.candidate.gather({ ...sizes, ids, table, out });
      assertThrows(gather, RangeError, `id ${bad} at row 1 is not below 4`);
      assertThrows(() => pair.candidate.scatterAdd({ ...sizes, ids, x: out, table }), RangeError);
    }
    const args = { ...sizes, logits: out, targets: pair.ids([2, 3]), losses, scale: 1 };
    assertThrows(() => pair.candidate.crossEntropy(args), RangeError, "id 3 at row 1 is not below 3");
  },

  "spans that are too short are refused"(pair) {
    const x = pair.tensor(noise(5));
    const softmax = () => pair.candidate.row(SOFTMAX, { rows: 2, cols: 3, x, out: x });
    assertThrows(softmax, RangeError, "Cannot run softmax: x needs 6 elements, its span has 5");
  },

  "sumRows() of all shapes"(pair) {
    for (const [rows, cols] of SHAPES) {
      const x = pair.tensor(noise(rows * cols));
      for (const accumulate of [false, true]) {
        const out = pair.tensor(noise(cols, 2));
        const bound = EPS * rows * (rows + 1);
        pair.compare(`${rows}x${cols}`, [[out, bound]], (b) => b.sumRows({ rows, cols, x, out, accumulate }));
      }
    }
  },
};

function layerNormCase(
  pair: BackendPair,
  { rows, cols, shift }: { rows: number; cols: number; shift: number },
) {
  const values = noise(rows * cols).map((x) => x + shift), epsilon = 1e-5;
  const x = pair.tensor(values), gamma = pair.tensor(noise(cols, 2)), beta = pair.tensor(noise(cols, 3));
  const out = pair.tensor(values), mean = pair.tensor(noise(rows)), rstd = pair.tensor(noise(rows));
  const steps = chain(cols) + 4, size = largest(values);
  // A row of one column has variance 0: rstd is 1 / sqrt(epsilon), and the error of its mean is all there is.
  const maxRstd = cols < 4 ? 1 / Math.sqrt(epsilon) : 8, z = Math.min(2 * size * maxRstd, Math.sqrt(cols));
  const errorMean = EPS * steps * size;
  const boundOut = errorMean * maxRstd + EPS * (2 * steps + 8) * (z + 1);
  const boundRstd: Bound = (_, want) => want * (EPS * (steps + 6) + errorMean * want);
  pair.compare(
    `${rows}x${cols} + ${shift}`,
    [[out, boundOut], [mean, errorMean], [rstd, boundRstd]],
    (b) => b.row(LAYER_NORM, { rows, cols, x, gamma, beta, out, mean, rstd, epsilon }),
  );
}

function layerNormBackwardCase(
  pair: BackendPair,
  { rows, cols, accumulate }: { rows: number; cols: number; accumulate: boolean },
) {
  const size = rows * cols, x = pair.tensor(noise(size)), gamma = pair.tensor(noise(cols, 2));
  const mean = pair.tensor(noise(rows, 3)), rstd = pair.tensor(noise(rows, 4).map((v) => 1.5 + v));
  const dOut = pair.tensor(noise(size, 5)), dX = pair.tensor(noise(size, 6));
  const dGamma = pair.tensor(noise(cols, 7)), dBeta = pair.tensor(noise(cols, 8));
  // |x|, |mean|, |gamma|, |dOut| <= 1 and rstd <= 2.5, so |h| <= 5 and |g| <= 1.
  const h = 5, boundX = EPS * (chain(cols) + 8) * 2.5 * (2 + h * h) + 4 * EPS;
  const boundGamma = EPS * (rows + 4) * (rows * h + 1), boundBeta = EPS * rows * (rows + 1);
  const args = { rows, cols, x, gamma, mean, rstd, dOut, dX, dGamma, dBeta, accumulate };
  pair.compare(
    `${rows}x${cols} ${accumulate}`,
    [[dX, boundX], [dGamma, boundGamma], [dBeta, boundBeta]],
    (b) => b.row(LAYER_NORM_BACKWARD, args),
  );
}

function crossEntropyCase(
  pair: BackendPair,
  { rows, cols, spread }: { rows: number; cols: number; spread: number },
) {
  const values = noise(rows * cols).map((x) => spread * x), scale = 0.25;
  const logits = pair.tensor(values), losses = pair.tensor(noise(rows)), dLogits = pair.tensor(values);
  const targets = pair.ids(Array.from({ length: rows }, (_, r) => r % 3 === 2 ? -1 : (r * 7) % cols));
  const error = softmaxError(2 * spread, cols);
  const boundLoss: Bound = (_, want) => error + 2 * ulp(want) + EPS * 2 * spread;
  const args = { rows, cols, logits, targets, losses, scale };
  pair.compare("loss", [[losses, boundLoss]], (b) => b.crossEntropy(args));
  const gradient = scale * (error + 2 * EPS);
  pair.compare(
    "both",
    [[losses, boundLoss], [dLogits, gradient]],
    (b) => b.crossEntropy({ ...args, dLogits }),
  );
  const inPlace = { ...args, dLogits: logits };
  pair.compare("in place", [[losses, boundLoss], [logits, gradient]], (b) => b.crossEntropy(inPlace));
}
