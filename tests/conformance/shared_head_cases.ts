import { assertEquals, assertThrows } from "@std/assert";
import type { AttentionBackwardArgs, Backend, Span } from "../../kernels/mod.ts";
import { assertWithin, type BackendPair, EPS, noise } from "./backend_pair.ts";

/** More than a block of queries, and fewer; heads of q in groups of four, of two and of one. */
const SHAPES = [1, 2, 4].flatMap((kvHeads) => [8, 104].map((tokens) => ({ kvHeads, tokens })));
const BATCH = 2, HEADS = 4, HEAD_DIM = 6;

/** The rows [B, T, Hkv D] with each head as often as heads of q read it: [B, T, H D]. */
function repeated(rows: Float32Array, kvHeads: number): Float32Array {
  const wide = new Float32Array(rows.length / kvHeads * HEADS);
  return wide.map((_, i) => {
    const head = Math.floor(i / HEAD_DIM), token = Math.floor(head / HEADS);
    const kvHead = Math.floor(head % HEADS / (HEADS / kvHeads));
    return rows[(token * kvHeads + kvHead) * HEAD_DIM + i % HEAD_DIM];
  });
}

/** The mirror: sums of the heads that are copies of one, ascending, in float64. */
function summed(rows: Float32Array, kvHeads: number): Float32Array {
  const sums = new Float64Array(rows.length / HEADS * kvHeads), group = HEADS / kvHeads;
  rows.forEach((value, i) => {
    const head = Math.floor(i / HEAD_DIM), token = Math.floor(head / HEADS);
    const kvHead = Math.floor(head % HEADS / group);
    sums[(token * kvHeads + kvHead) * HEAD_DIM + i % HEAD_DIM] += value;
  });
  return Float32Array.from(sums);
}

/** Attention of rows that lie tight, each tensor for itself, and its gradients. */
function attend(
  pair: BackendPair,
  inputs: { q: Float32Array; k: Float32Array; v: Float32Array; dOut: Float32Array },
  sizes: { kvHeads: number; tokens: number; queryRuns?: readonly number[] },
) {
  const { kvHeads, tokens, queryRuns } = sizes, width = HEADS * HEAD_DIM, kvWidth = kvHeads * HEAD_DIM;
  const like = (values: Float32Array) => pair.tensor(noise(values.length, 9));
  const [q, k, v, dOut] = [inputs.q, inputs.k, inputs.v, inputs.dOut].map((values) => pair.tensor(values));
  const args: AttentionBackwardArgs = {
    ...{ batch: BATCH, heads: HEADS, kvHeads, queries: tokens, keys: tokens, headDim: HEAD_DIM },
    ...{ scale: 0.4, causal: true, queryRuns, q, k, v, dOut, out: like(inputs.q) },
    ...{ ldQ: width, ldK: kvWidth, ldV: kvWidth, ldOut: width },
    ...{
      strideQ: tokens * width,
      strideK: tokens * kvWidth,
      strideV: tokens * kvWidth,
      strideOut: tokens * width,
    },
    ...{ dQ: like(inputs.q), dK: like(inputs.k), dV: like(inputs.v) },
    logSumExp: pair.tensor(new Float32Array(BATCH * HEADS * tokens)),
  };
  pair.candidate.attention(args);
  pair.candidate.attentionBackward(args);
  const read = (span: Span) => pair.values(span);
  return {
    out: read(args.out),
    lse: read(args.logSumExp),
    dQ: read(args.dQ),
    dK: read(args.dK),
    dV: read(args.dV),
  };
}

function sameAsRepeated(pair: BackendPair, runs: (tokens: number) => number[] | undefined): void {
  for (const { kvHeads, tokens } of SHAPES) {
    const length = BATCH * tokens * HEADS * HEAD_DIM, rest = length / HEADS * kvHeads;
    const [q, dOut, k, v] = [length, length, rest, rest].map((size, seed) => noise(size, seed));
    const queryRuns = runs(tokens), sizes = { tokens, queryRuns };
    const got = attend(pair, { q, k, v, dOut }, { ...sizes, kvHeads });
    const wide = { q, k: repeated(k, kvHeads), v: repeated(v, kvHeads), dOut };
    const want = attend(pair, wide, { ...sizes, kvHeads: HEADS });
    // What a head of q sees are the same numbers in the same order.
    for (const name of ["out", "lse", "dQ"] as const) {
      assertEquals(got[name], want[name], `${name}, ${kvHeads}`);
    }
    // Sums over the tokens and the heads of a group in one chain, of terms of at most |dS| <= 2 d scale, |q| <= 1.
    const bound = EPS * (HEADS / kvHeads * tokens) * 2 * HEAD_DIM;
    for (const name of ["dK", "dV"] as const) {
      assertWithin(`${name} of ${kvHeads} heads`, got[name], summed(want[name], kvHeads), bound);
    }
  }
}

/** Attention whose heads of q share heads of k and v, on any backend. */
export const SHARED_HEAD_CASES: Record<string, (pair: BackendPair) => void> = {
  "attention() of shared heads is that of repeated heads, forward and backward"(pair) {
    sameAsRepeated(pair, () => undefined);
  },

  "attention() of shared heads in runs is that of repeated heads in runs"(pair) {
    sameAsRepeated(pair, (tokens) => Array.from({ length: 8 }, (_, unit) => unit * tokens / 8));
  },

  "attention() refuses heads that cannot be shared out evenly"(pair) {
    const x = pair.tensor(noise(64)),
      sizes = { batch: 1, heads: 4, kvHeads: 3, queries: 1, keys: 1, headDim: 1 };
    const lds = { ldQ: 4, ldK: 4, ldV: 4, ldOut: 4, strideQ: 0, strideK: 0, strideV: 0, strideOut: 0 };
    const args = { ...sizes, ...lds, q: x, k: x, v: x, out: x, logSumExp: x, scale: 1, causal: true };
    const call = (b: Backend) => () => b.attention(args);
    assertThrows(call(pair.candidate), RangeError, "kvHeads must divide the 4 heads of q, it is 3");
  },
};
