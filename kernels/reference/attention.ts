import type {
  AttentionArgs,
  AttentionBackwardArgs,
  MergeAttentionArgs,
} from "../arguments/product_arguments.ts";
import { checkAttention, checkAttentionBackward, checkMergeAttention } from "../arguments/check.ts";
import { groupSize } from "../arguments/head_groups.ts";
import type { DeviceHeap } from "../memory/heap.ts";

/** Softmax of each query's scores over the keys it sees, times v. */
export function attention(heap: DeviceHeap, args: AttentionArgs): void {
  checkAttention(args);
  const v = heap.f32(args.v), out = heap.f32(args.out), logSumExp = heap.f32(args.logSumExp);
  eachQuery(heap, args, ({ b, h, kvHead, i, first, visible, row }) => {
    const scores = scoresOf(heap, args, { b, h, kvHead, i, first, visible });
    const max = scores.reduce((a, s) => Math.max(a, s), -Infinity);
    const total = scores.reduce((sum, s) => sum + Math.exp(s - max), 0);
    logSumExp[row] = max + Math.log(total);
    for (let c = 0; c < args.headDim; c++) {
      let sum = 0;
      for (let j = first; j < visible; j++) {
        sum += Math.exp(scores[j] - max) / total *
          v[b * args.strideV + j * args.ldV + kvHead * args.headDim + c];
      }
      out[b * args.strideOut + i * args.ldOut + h * args.headDim + c] = sum;
    }
  });
}

/**
 * Gradients by the formulas: with P the probabilities, dP = dOut v^T and delta = sum(dOut * out), dS =
 * P (dP - delta) scale; dQ = dS k, dK = dS^T q, dV = P^T dOut. Probabilities come from `logSumExp` and delta from
 * `out`, as the interface says.
 */
export function attentionBackward(heap: DeviceHeap, args: AttentionBackwardArgs): void {
  checkAttentionBackward(args);
  const q = heap.f32(args.q), k = heap.f32(args.k), v = heap.f32(args.v), out = heap.f32(args.out);
  const dOut = heap.f32(args.dOut), logSumExp = heap.f32(args.logSumExp);
  const dQ = new Float64Array(args.dQ.length), dK = new Float64Array(args.dK.length);
  const dV = new Float64Array(args.dV.length);
  eachQuery(heap, args, ({ b, h, kvHead, i, first, visible, row }) => {
    const scores = scoresOf(heap, args, { b, h, kvHead, i, first, visible });
    const atQ = b * args.strideQ + i * args.ldQ + h * args.headDim;
    const atOut = b * args.strideOut + i * args.ldOut + h * args.headDim;
    let delta = 0;
    for (let c = 0; c < args.headDim; c++) delta += dOut[atOut + c] * out[atOut + c];
    for (let j = first; j < visible; j++) {
      const atK = b * args.strideK + j * args.ldK + kvHead * args.headDim;
      const atV = b * args.strideV + j * args.ldV + kvHead * args.headDim;
      const p = Math.exp(scores[j] - logSumExp[row]);
      let dP = 0;
      for (let c = 0; c < args.headDim; c++) dP += dOut[atOut + c] * v[atV + c];
      const dS = p * (dP - delta) * args.scale;
      for (let c = 0; c < args.headDim; c++) {
        dQ[atQ + c] += dS * k[atK + c];
        dK[atK + c] += dS * q[atQ + c];
        dV[atV + c] += p * dOut[atOut + c];
      }
    }
  });
  const { queries, keys, heads, kvHeads = heads } = args;
  deliver(args, dQ, heap.f32(args.dQ), { rows: queries, heads, ld: args.ldQ, stride: args.strideQ });
  deliver(args, dK, heap.f32(args.dK), { rows: keys, heads: kvHeads, ld: args.ldK, stride: args.strideK });
  deliver(args, dV, heap.f32(args.dV), { rows: keys, heads: kvHeads, ld: args.ldV, stride: args.strideV });
}

/** Weighs each row of both parts by its share of the sum of exponentials. */
export function mergeAttention(heap: DeviceHeap, args: MergeAttentionArgs): void {
  checkMergeAttention(args);
  const { batch, heads, queries, headDim, strideLogSumExp = queries } = args;
  const out = heap.f32(args.out), logSumExp = heap.f32(args.logSumExp);
  const part = heap.f32(args.part), partLogSumExp = heap.f32(args.partLogSumExp);
  for (let head = 0; head < batch * heads; head++) {
    const b = Math.floor(head / heads), h = head % heads;
    for (let i = 0; i < queries; i++) {
      const row = head * strideLogSumExp + i, own = logSumExp[row], other = partLogSumExp[head * queries + i];
      const max = Math.max(own, other, -Number.MAX_VALUE);
      const total = Math.exp(own - max) + Math.exp(other - max), inverse = total === 0 ? 0 : 1 / total;
      const at = b * args.strideOut + i * args.ldOut + h * headDim;
      const atPart = ((b * queries + i) * heads + h) * headDim;
      for (let c = 0; c < headDim; c++) {
        const sum = Math.exp(own - max) * out[at + c] + Math.exp(other - max) * part[atPart + c];
        out[at + c] = sum * inverse;
      }
      logSumExp[row] = max + Math.log(total);
    }
  }
}

interface Query {
  b: number;
  h: number;
  /** Head of k and v that it reads. */
  kvHead: number;
  i: number;
  /** First key that it sees. */
  first: number;
  /** Behind the last one. */
  visible: number;
}

function eachQuery(
  heap: DeviceHeap,
  args: AttentionArgs,
  visit: (query: Query & { row: number }) => void,
): void {
  const { batch, heads, queries, keys, strideLogSumExp = queries, strideFirstKeys = queries } = args;
  const size = groupSize(args), firstKeys = args.firstKeys && heap.i32(args.firstKeys);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / size);
      for (let i = 0; i < queries; i++) {
        const visible = args.causal ? Math.min(keys, placeOf(args, i) + 1) : keys;
        const first = Math.min(visible, firstKeys?.[b * strideFirstKeys + i] ?? 0);
        visit({ b, h, kvHead, i, first, visible, row: (b * heads + h) * strideLogSumExp + i });
      }
    }
  }
}

/** Key index of a query. */
function placeOf({ queries, queryRuns, queryOffset = 0 }: AttentionArgs, query: number): number {
  if (queryRuns === undefined) return query + queryOffset;
  const size = queries / queryRuns.length;
  return queryRuns[Math.floor(query / size)] + query % size;
}

function scoresOf(
  heap: DeviceHeap,
  args: AttentionArgs,
  { b, h, kvHead, i, first, visible }: Query,
): Float64Array {
  const q = heap.f32(args.q), k = heap.f32(args.k);
  const atQ = b * args.strideQ + i * args.ldQ + h * args.headDim;
  return new Float64Array(visible).map((_, j) => {
    if (j < first) return -Infinity;
    const atK = b * args.strideK + j * args.ldK + kvHead * args.headDim;
    let dot = 0;
    for (let c = 0; c < args.headDim; c++) dot += q[atQ + c] * k[atK + c];
    return dot * args.scale;
  });
}

/** Writes, or adds, only what belongs to the heads: q, k and v may lie in one fused tensor. */
function deliver(
  { batch, headDim, accumulate }: AttentionBackwardArgs,
  from: Float64Array,
  to: Float32Array,
  { rows, heads, ld, stride }: { rows: number; heads: number; ld: number; stride: number },
): void {
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      const start = b * stride + r * ld, end = start + heads * headDim;
      for (let i = start; i < end; i++) to[i] = accumulate ? to[i] + from[i] : from[i];
    }
  }
}
