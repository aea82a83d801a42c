import { ROUNDING } from "./wasm_kernels.ts";
import type { GatherArgs } from "../arguments/row_arguments.ts";
import type { MatmulArgs } from "../arguments/product_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import { type Span, spanByteLength } from "../memory/span.ts";
import { BLOCK_WEIGHTS } from "../../files/mod.ts";
import { type WeightFormat } from "./formats.ts";
import { panelBytes, type Panels, readWeights } from "./panels.ts";

/** The panels of a weight with rows of `inputs` elements, as memory has them. */
export function panelsAt(heap: DeviceHeap, span: Span, format: WeightFormat, inputs: number): Panels {
  const { buffer } = heap.i32(span);
  return { format, inputs, bytes: new Uint8Array(buffer, span.byteOffset, spanByteLength(span)) };
}

/**
 * A weight in panels as float32, and the rows that it is multiplied by, rounded as they are: the product in float64 is
 * the one to compare with.
 */
export function plainOperands(
  heap: DeviceHeap,
  { m, n, k, a, b, lda = k }: MatmulArgs,
  format: WeightFormat,
): { readonly rows: Float64Array; readonly weight: Float32Array } {
  const weight = new Float32Array(n * k), panels = panelsAt(heap, b, format, k), x = heap.f32(a);
  for (let j = 0; j < n; j++) readWeights(panels, j, weight.subarray(j * k, (j + 1) * k));
  const rows = Float64Array.from({ length: m * k }, (_, i) => x[Math.floor(i / k) * lda + i % k]);
  if (format === "bf16") return { rows, weight };
  const { most } = ROUNDING[format];
  for (let first = 0; first < rows.length; first += BLOCK_WEIGHTS) {
    const block = rows.subarray(first, first + BLOCK_WEIGHTS);
    const max = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = Math.fround(max * Math.fround(1 / most)), inverse = Math.fround(most / max);
    block.forEach((value, i) => block[i] = max === 0 ? 0 : scale * nearest(Math.fround(value * inverse)));
  }
  return { rows, weight };
}

/** Ties to even. */
function nearest(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Fetches rows of a table in panels; those with a negative id are zeros. */
export function gatherPanels(heap: DeviceHeap, args: GatherArgs, format: WeightFormat): void {
  const { rows, cols } = args, panels = panelsAt(heap, args.table, format, cols);
  const ids = heap.i32(args.ids), out = heap.f32(args.out), row = new Float32Array(cols);
  const outputs = Math.floor(panels.bytes.length / panelBytes(format, 16, cols)) * 16;
  for (let i = 0; i < rows; i++) {
    if (ids[i] >= outputs) throw new RangeError(`Cannot gather row ${ids[i]}: the table has ${outputs} rows`);
    if (ids[i] < 0) row.fill(0);
    else readWeights(panels, ids[i], row);
    for (let j = 0; j < cols; j++) out[i * cols + j] = row[j] + (args.accumulate ? out[i * cols + j] : 0);
  }
}
