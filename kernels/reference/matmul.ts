import type { MatmulArgs } from "../arguments/product_arguments.ts";
import { checkMatmul } from "../arguments/check_matmul.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { WeightFormat } from "../weights/formats.ts";
import { plainOperands } from "../weights/reference.ts";
import { gelu, geluGradient } from "./math.ts";

/** All products of a batch: a sum over k in float64 for each element, then its epilogue. */
export function matmul(heap: DeviceHeap, args: MatmulArgs): void {
  checkMatmul(args);
  if (args.packedB !== undefined && args.packedB !== "f32") return multiplyPanels(heap, args, args.packedB);
  const { m, n, k } = args;
  const a = heap.f32(args.a), b = heap.f32(args.b), c = heap.f32(args.c), finish = finisher(heap, args);
  const lda = args.lda ?? (args.transposeA ? m : k), ldb = args.ldb ?? (args.transposeB ? k : n);
  const ldc = args.ldc ?? n;
  const [rowA, stepA] = args.transposeA ? [1, lda] : [lda, 1];
  const [stepB, columnB] = args.transposeB ? [1, ldb] : [ldb, 1];
  for (let batch = 0; batch < (args.batch ?? 1); batch++) {
    const a0 = batch * (args.strideA ?? m * k), b0 = batch * (args.strideB ?? k * n);
    const c0 = batch * (args.strideC ?? m * n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        const at = c0 + i * ldc + j;
        let sum = args.accumulate ? c[at] : 0;
        for (let p = 0; p < k; p++) sum += a[a0 + i * rowA + p * stepA] * b[b0 + p * stepB + j * columnB];
        c[at] = finish(sum, at, j);
      }
    }
  }
}

function multiplyPanels(heap: DeviceHeap, args: MatmulArgs, format: WeightFormat): void {
  const { m, n, k, ldc = n } = args, { rows, weight } = plainOperands(heap, args, format);
  const c = heap.f32(args.c), finish = finisher(heap, args);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += rows[i * k + p] * weight[j * k + p];
      c[i * ldc + j] = finish(sum, i * ldc + j, j);
    }
  }
}

/** The epilogue as a function of a sum, the place of its element in C, and its column. */
function finisher(heap: DeviceHeap, args: MatmulArgs): (sum: number, at: number, column: number) => number {
  const { epilogue } = args;
  if (epilogue === undefined) return (sum) => sum;
  if (epilogue.kind === "geluGradient") {
    const pre = heap.f32(epilogue.pre);
    return (sum, at) => sum * geluGradient(pre[at]);
  }
  const bias = heap.f32(epilogue.bias);
  if (epilogue.kind === "bias") return (sum, _, column) => sum + bias[column];
  const kept = epilogue.pre && heap.f32(epilogue.pre);
  return (sum, at, column) => {
    const u = Math.fround(sum + bias[column]);
    if (kept !== undefined) kept[at] = u;
    return gelu(u);
  };
}
