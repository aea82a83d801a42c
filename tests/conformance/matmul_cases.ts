import type { Backend, MatmulArgs, Span } from "../../kernels/mod.ts";
import { type BackendPair, type Bound, EPS, noise, SPECIALS } from "./backend_pair.ts";

const SHAPES = [
  ...[[0, 3, 4], [3, 0, 4], [3, 4, 0], [1, 1, 1], [1, 17, 5], [17, 1, 5], [3, 5, 7], [6, 8, 4], [17, 33, 65]],
  ...[[97, 19, 257], [7, 515, 3]], // over the edges of the blocks of 96 x 512 x 256
];
const FORMS = [[false, false], [false, true], [true, false], [true, true]];

/** |op(A)| |op(B)| + |C|, per element of a tight C: what the roundings of a sum are relative to. */
function magnitude(pair: BackendPair, args: MatmulArgs, before: Float32Array): Float64Array {
  const { m, n, k } = args, a = pair.values(args.a), b = pair.values(args.b);
  const lda = args.lda ?? (args.transposeA ? m : k), ldb = args.ldb ?? (args.transposeB ? k : n);
  return new Float64Array(m * n).map((_, at) => {
    const i = Math.floor(at / n), j = at % n;
    let sum = args.accumulate ? Math.abs(before[at]) : 0;
    for (let p = 0; p < k; p++) {
      sum += Math.abs(
        a[args.transposeA ? p * lda + i : i * lda + p] * b[args.transposeB ? j * ldb + p : p * ldb + j],
      );
    }
    return sum;
  });
}

/** A chain of k roundings each relative to at most the sum of magnitudes; sqrt because they are independent. */
function sumBound(k: number, magnitudes: Float64Array): Bound {
  return (i) => EPS * (4 * Math.sqrt(k) + 2) * magnitudes[i] + 2 ** -148;
}

function formOf([transposeA, transposeB]: boolean[]): { transposeA: boolean; transposeB: boolean } {
  return { transposeA, transposeB };
}

/** Matmul on any backend. */
export const MATMUL_CASES: Record<string, (pair: BackendPair) => void> = {
  "matmul() of all shapes and transposes"(pair) {
    for (const [m, n, k] of SHAPES) {
      const a = pair.tensor(noise(m * k, 1)), b = pair.tensor(noise(k * n, 2));
      for (const form of FORMS) {
        for (const accumulate of [false, true]) {
          const c = pair.tensor(noise(m * n, 3));
          const args = { m, n, k, a, b, c, ...formOf(form), accumulate };
          const bound = sumBound(k, magnitude(pair, args, pair.values(c)));
          pair.compare(`${m}x${n}x${k} ${form} ${accumulate}`, [[c, bound]], (x) => x.matmul(args));
        }
      }
    }
  },

  "matmul() of batches with leading dimensions and strides"(pair) {
    const m = 5, n = 11, k = 9, batch = 3;
    const a = pair.tensor(noise(batch * 200, 1)), b = pair.tensor(noise(batch * 300, 2));
    for (const form of FORMS) {
      for (const strideB of [0, 290]) {
        const c = pair.tensor(noise(batch * 120, 3));
        const sizes = { lda: 13, ldb: 15, ldc: 19, strideA: 190, strideB, strideC: 110 };
        const args = { m, n, k, a, b, c, batch, ...formOf(form), ...sizes };
        pair.compare(`${form} ${strideB}`, [[c, EPS * (4 * Math.sqrt(k) + 2) * k]], (x) => x.matmul(args));
      }
    }
  },

  "matmul() with each epilogue"(pair) {
    for (const [m, n, k] of SHAPES) {
      const a = pair.tensor(noise(m * k, 1)),
        b = pair.tensor(noise(k * n, 2)),
        bias = pair.tensor(noise(n, 3));
      const c = pair.tensor(noise(m * n, 4)), pre = pair.tensor(noise(m * n, 5).map((x) => 4 * x));
      const args = { m, n, k, a, b, c };
      // |gelu'| <= 1.13, its own error 5e-7, gelu's 20 eps relative to its input for |x| < 4 and k sums of noise.
      const sum = EPS * (4 * Math.sqrt(k) + 4) * (k + 1), act = 1.13 * sum + 5e-7 * (k + 1);
      const run = (epilogue: MatmulArgs["epilogue"]) => (x: Backend) => x.matmul({ ...args, epilogue });
      pair.compare("bias", [[c, sum]], run({ kind: "bias", bias }));
      pair.compare("gelu", [[c, act]], run({ kind: "gelu", bias }));
      pair.compare("geluGradient", [[c, act]], run({ kind: "geluGradient", pre }));
      pair.compare("gelu, pre kept", [[c, act], [pre, sum]], run({ kind: "gelu", bias, pre }));
    }
  },

  "matmul() with an epilogue, in batches with a leading dimension"(pair) {
    const m = 7, n = 10, k = 300, batch = 2, layout = { ldc: 13, strideC: 100 };
    const a = pair.tensor(noise(batch * m * k)), b = pair.tensor(noise(batch * k * n));
    const bias = pair.tensor(noise(n)), c = pair.tensor(noise(200)), pre = pair.tensor(noise(200));
    const sum = EPS * (4 * Math.sqrt(k) + 4) * k;
    const args = { m, n, k, a, b, c, batch, ...layout, epilogue: { kind: "gelu", bias, pre } } as const;
    pair.compare("gelu", [[c, 1.2 * sum + 5e-7 * k], [pre, sum]], (x) => x.matmul(args));
  },

  "matmul() keeps NaN, infinities and denormals in their rows and columns"(pair) {
    const m = 19, n = 21, k = 5;
    for (const special of SPECIALS) {
      const values = noise(m * k), a = pair.tensor(values.map((x, i) => i === 37 ? special : x));
      const b = pair.tensor(noise(k * n)), c = pair.tensor(new Float32Array(m * n));
      const args = { m, n, k, a, b, c };
      const bound = sumBound(k, magnitude(pair, args, pair.values(c)));
      pair.compare(`${special}`, [[c, bound]], (x) => x.matmul(args));
    }
  },

  "matmul() of two denormals"(pair) {
    const a: Span = pair.tensor([2 ** -140]), b = pair.tensor([0.5]), c = pair.tensor([0]);
    pair.compare("1x1x1", [[c, 2 ** -149]], (x) => x.matmul({ m: 1, n: 1, k: 1, a, b, c }));
  },
};
