import { checkPagedAttention, type PagedAttentionArgs, RUN_WORDS } from "../arguments/paged_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";

/** Softmax of each row's scores over the keys it sees, times their values. */
export function pagedAttention(heap: DeviceHeap, args: PagedAttentionArgs): void {
  const runs = heap.i32(args.batch.runs), tables = heap.i32(args.batch.tables);
  checkPagedAttention(args, { runs, tables });
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
  const ofKey = (elements: Float32Array, key: number) => {
    const place = pages[Math.floor(key / pageTokens)] * pageTokens + key % pageTokens;
    return elements.subarray(place * width + column, place * width + column + headDim);
  };
  const keys = heap.f32(args.keyPages), values = heap.f32(args.valuePages);
  const first = Math.max(0, visible - window);
  const scores = Array.from({ length: visible - first }, (_, i) => {
    const key = ofKey(keys, first + i);
    return scale * key.reduce((sum, element, c) => sum + q[c] * element, 0);
  });
  const max = scores.reduce((a, score) => Math.max(a, score), -Infinity);
  const weights = scores.map((score) => Math.exp(score - max)), total = weights.reduce((a, b) => a + b, 0);
  for (let c = 0; c < headDim; c++) {
    out[c] = weights.reduce((sum, weight, i) => sum + weight / total * ofKey(values, first + i)[c], 0);
  }
}
