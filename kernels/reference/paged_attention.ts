import {
  checkPagedAttention,
  eachPagedRow,
  type PagedAttentionArgs,
  RUN_WORDS,
} from "../arguments/paged_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";

/** Softmax of each row's scores over the keys it sees, times their values. */
export function pagedAttention(heap: DeviceHeap, args: PagedAttentionArgs): void {
  const runs = heap.i32(args.batch.runs), tables = heap.i32(args.batch.tables);
  checkPagedAttention(args, { runs, tables });
  append(heap, args, { runs, tables });
  for (let at = 1; at < 1 + RUN_WORDS * runs[0]; at += RUN_WORDS) {
    const [row, rows, position, table] = runs.subarray(at, at + RUN_WORDS);
    for (let t = 0; t < rows; t++) {
      for (let head = 0; head < args.heads; head++) {
        attendRow(heap, args, {
          row: row + t,
          head,
          visible: position + t + 1,
          pages: tables.subarray(table),
        });
      }
    }
  }
}

function append(
  heap: DeviceHeap,
  { k, ldK, v, ldV, keyPages, valuePages, pageTokens, kvHeads, headDim }: PagedAttentionArgs,
  batch: { readonly runs: Int32Array; readonly tables: Int32Array },
): void {
  const width = kvHeads * headDim, [from, values] = [k, v].map((span) => heap.f32(span));
  const toKeys = heap.f32(keyPages), toValues = heap.f32(valuePages);
  eachPagedRow(batch, pageTokens, (row, page, place) => {
    for (let c = 0; c < width; c++) {
      toKeys[(page * width + c) * pageTokens + place] = from[row * ldK + c];
      toValues[(page * pageTokens + place) * width + c] = values[row * ldV + c];
    }
  });
}

/** What a head of a row sees. */
interface Place {
  readonly row: number;
  readonly head: number;
  readonly visible: number;
  readonly pages: Int32Array;
}

function attendRow(heap: DeviceHeap, args: PagedAttentionArgs, { row, head, visible, pages }: Place): void {
  const { headDim, pageTokens, kvHeads, scale, window = Infinity } = args;
  const q = heap.f32(args.q).subarray(row * args.ldQ + head * headDim);
  const out = heap.f32(args.out).subarray(row * args.ldOut + head * headDim);
  const column = Math.floor(head / (args.heads / kvHeads)) * headDim, width = kvHeads * headDim;
  const pageOf = (key: number) => pages[Math.floor(key / pageTokens)] * pageTokens * width;
  const keys = heap.f32(args.keyPages), values = heap.f32(args.valuePages);
  const keyOf = (key: number, c: number) => keys[pageOf(key) + (column + c) * pageTokens + key % pageTokens];
  const valueOf = (key: number, c: number) => values[pageOf(key) + key % pageTokens * width + column + c];
  const first = Math.max(0, visible - window);
  const scores = Array.from({ length: visible - first }, (_, i) => {
    let sum = 0;
    for (let c = 0; c < headDim; c++) sum += q[c] * keyOf(first + i, c);
    return scale * sum;
  });
  const max = scores.reduce((a, score) => Math.max(a, score), -Infinity);
  const weights = scores.map((score) => Math.exp(score - max)), total = weights.reduce((a, b) => a + b, 0);
  for (let c = 0; c < headDim; c++) {
    out[c] = weights.reduce((sum, weight, i) => sum + weight / total * valueOf(first + i, c), 0);
  }
}
