import type { AttentionBackwardArgs } from "../../kernels/mod.ts";
import { type BackendPair, type Bound, EPS, noise } from "./backend_pair.ts";

interface Shape {
  batch: number;
  heads: number;
  kvHeads?: number;
  queries: number;
  keys: number;
  headDim: number;
  causal: boolean;
  queryOffset?: number;
  /** Keys that a query sees at most; for the second half of the queries, one less. */
  window?: number;
}

const SHAPES: Shape[] = [
  { batch: 1, heads: 1, queries: 1, keys: 1, headDim: 1, causal: true },
  { batch: 2, heads: 3, queries: 7, keys: 7, headDim: 5, causal: true },
  { batch: 1, heads: 2, queries: 53, keys: 53, headDim: 16, causal: true }, // more than a block of queries
  { batch: 1, heads: 2, queries: 9, keys: 13, headDim: 8, causal: false },
  { batch: 2, heads: 1, queries: 4, keys: 11, headDim: 8, causal: true, queryOffset: 7 },
  { batch: 0, heads: 2, queries: 3, keys: 3, headDim: 4, causal: true },
  { batch: 1, heads: 2, queries: 0, keys: 3, headDim: 4, causal: false },
  { batch: 0, heads: 0, queries: 2, keys: 3, headDim: 4, causal: false },
  { batch: 2, heads: 4, kvHeads: 1, queries: 7, keys: 7, headDim: 5, causal: true },
  { batch: 1, heads: 4, kvHeads: 2, queries: 53, keys: 53, headDim: 16, causal: true },
  { batch: 2, heads: 6, kvHeads: 2, queries: 4, keys: 11, headDim: 8, causal: true, queryOffset: 7 },
  { batch: 2, heads: 3, queries: 7, keys: 7, headDim: 5, causal: true, window: 3 },
  { batch: 1, heads: 4, kvHeads: 2, queries: 53, keys: 53, headDim: 16, causal: true, window: 20 },
  { batch: 2, heads: 1, queries: 4, keys: 11, headDim: 8, causal: true, queryOffset: 7, window: 1 },
];

/** Place in the keys of the first one that each query sees. */
function firstKeysOf({ batch, queries, queryOffset = 0, window = 0 }: Shape): number[] {
  return Array.from({ length: batch * queries }, (_, i) => {
    const t = i % queries, own = t < queries / 2 ? window : Math.max(1, window - 1);
    return Math.max(0, t + queryOffset - own + 1);
  });
}

/** Arguments for heads in a fused projection, or in tensors of their own. */
function argsOf(pair: BackendPair, shape: Shape, isFused: boolean): AttentionBackwardArgs {
  const { batch, heads, kvHeads = heads, queries, keys, headDim } = shape, width = heads * headDim;
  const kvWidth = kvHeads * headDim, widths = [width, kvWidth, kvWidth];
  const rows = Math.max(queries, keys), scale = 1 / Math.sqrt(headDim);
  const tensor = (length: number, seed: number) => pair.tensor(noise(length, seed));
  const [ldQ, ldK, ldV] = isFused ? [0, 1, 2].map(() => width + 2 * kvWidth) : widths;
  const part = (seed: number) => {
    if (!isFused) return widths.map((w, i) => tensor(batch * rows * w, seed + i));
    const all = tensor(batch * rows * ldQ, seed);
    return [0, width, width + kvWidth].map((column) => ({
      byteOffset: all.byteOffset + 4 * Math.min(all.length, column),
      length: Math.max(0, all.length - column),
      dtype: "f32" as const,
    }));
  };
  const [q, k, v] = part(1), [dQ, dK, dV] = part(11);
  const strideOut = queries * width;
  const lds = { ldQ, ldK, ldV, ldOut: width };
  const strides = { strideQ: rows * ldQ, strideK: rows * ldK, strideV: rows * ldV, strideOut };
  const out = tensor(batch * strideOut, 20), dOut = tensor(batch * strideOut, 21);
  const logSumExp = tensor(batch * heads * queries, 22);
  const firstKeys = shape.window === undefined ? undefined : pair.ids(firstKeysOf(shape));
  return { ...shape, ...lds, ...strides, q, k, v, dQ, dK, dV, out, dOut, logSumExp, scale, firstKeys };
}

/**
 * Scores are sums of d products of values in -1..1, times scale: at most S = sqrt(d), off by eps (d + 2) S. That is the
 * relative error of a probability, twice (its own and that of the sum), with the rounding of the differences to
 * the maximum (2 S), the exponentials and the sums over keys.
 */
function probabilityError({ headDim, keys }: Shape): number {
  const size = Math.sqrt(headDim);
  return EPS * (2 * (headDim + 2) * size + 4 * size + 2 * keys + 2 * Math.log(keys + 1) + 10);
}

/** Attention on any backend. */
export const ATTENTION_CASES: Record<string, (pair: BackendPair) => void> = {
  "attention() of all shapes, fused or not, causal or not"(pair) {
    for (const shape of SHAPES) {
      for (const isFused of [false, true]) {
        const args = argsOf(pair, shape, isFused), error = probabilityError(shape);
        // Outputs are means of values in -1..1; the log-sum-exp is absolute where a probability is relative.
        pair.compare(
          JSON.stringify(shape),
          [[args.out, error], [args.logSumExp, error]],
          (b) => b.attention(args),
        );
      }
    }
  },

  "attentionBackward() of all shapes, fused or not, causal or not"(pair) {
    for (const shape of SHAPES) {
      for (const isFused of [false, true]) backwardCase(pair, shape, isFused);
    }
  },

  "attentionBackward() of all shapes adds to what is there"(pair) {
    for (const shape of SHAPES) {
      for (const isFused of [false, true]) backwardCase(pair, shape, isFused, { accumulate: true });
    }
  },

  "attention() of some of the queries has log-sum-exps in the place of all"(pair) {
    for (const shape of SHAPES) {
      const args = argsOf(pair, shape, false), strideLogSumExp = shape.queries + 5;
      const length = Math.max(0, shape.batch * shape.heads * strideLogSumExp - 5);
      const logSumExp = pair.tensor(noise(length, 31)), some = { ...args, logSumExp, strideLogSumExp };
      const error = probabilityError(shape);
      pair.compare(JSON.stringify(shape), [[args.out, error], [logSumExp, error]], (b) => b.attention(some));
      backwardCase(pair, shape, false, { strideLogSumExp, logSumExp });
    }
  },

  "mergeAttention() of rows with large, small and no log-sum-exps"(pair) {
    const extremes = [-Infinity, 0, -200, 88, 1e4, -1e4, 0.1];
    for (const { batch, heads, queries, headDim } of SHAPES) {
      const width = heads * headDim, ldOut = 2 * width, strideOut = (queries + 1) * ldOut;
      const strideLogSumExp = queries + 3, rows = batch * heads;
      const out = pair.tensor(noise(batch * strideOut, 1)),
        part = pair.tensor(noise(batch * queries * width, 2));
      const sums = (length: number, seed: number) =>
        pair.tensor(noise(length, seed).map((x, i) => i % 3 === 0 ? 5 * x : extremes[(i * seed) % 7]));
      const logSumExp = sums(rows * strideLogSumExp, 3), partLogSumExp = sums(rows * queries, 5);
      const sizes = { batch, heads, queries, headDim, ldOut, strideOut, strideLogSumExp };
      const args = { ...sizes, out, logSumExp, part, partLogSumExp };
      // Of a power e^-x, the difference is off by eps x, which is 0.4 eps of 1, and exp by 2 eps; sum, quotient, products.
      const relative = (_: number, want: number) => EPS * (6 + Math.abs(want));
      pair.compare(
        JSON.stringify(sizes),
        [[out, EPS * 16], [logSumExp, relative]],
        (b) => b.mergeAttention(args),
      );
    }
  },

  "attention() over more keys than queries sees what a cache holds"(pair) {
    const shape: Shape = {
      batch: 1,
      heads: 2,
      queries: 1,
      keys: 70,
      headDim: 8,
      causal: true,
      queryOffset: 69,
    };
    const args = argsOf(pair, shape, false);
    pair.compare("1 of 70", [[args.out, probabilityError(shape)]], (b) => b.attention(args));
  },
};

function backwardCase(
  pair: BackendPair,
  shape: Shape,
  isFused: boolean,
  options: Partial<AttentionBackwardArgs> = {},
): void {
  const args = { ...argsOf(pair, shape, isFused), ...options },
    { headDim, queries, keys, scale, heads, kvHeads = heads } = { ...args, ...shape };
  pair.candidate.attention(args);
  // |dP - delta| <= 2 d, so |dS| <= 2 d scale p; sums of p are 1 over keys, at most `queries` over queries.
  const error = probabilityError(shape) + EPS * (headDim + queries + keys + 10);
  const boundQ: Bound = 2 * error * 2 * headDim * scale;
  const terms = queries * (heads === 0 ? 1 : heads / kvHeads);
  const boundK: Bound = boundQ * terms, boundV: Bound = 2 * error * terms;
  pair.compare(
    JSON.stringify(shape),
    [[args.dQ, boundQ], [args.dK, boundK], [args.dV, boundV]],
    (b) => b.attentionBackward(args),
  );
}
