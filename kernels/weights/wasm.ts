import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";
import { type Kernels, ModuleBuilder } from "../wasm/builder.ts";
import { compileOnce } from "../wasm/compile_once.ts";
import type { FinishBlock, Product } from "../wasm/product.ts";
import { BLOCK_WEIGHTS } from "../../files/mod.ts";
import { type WeightFormat } from "./formats.ts";
import { panelBytes } from "./panels.ts";
import { addSingleRows, SINGLE_COLUMNS } from "./single_row.ts";
import { addQuantised, EXCESS_BYTES, ROW_BLOCK_BYTES, ROW_SCALE_BYTES, TILE_BYTES } from "./wasm_kernels.ts";

/** Rows at a time: rounded, they stay in the L2 cache. */
const MOST_ROWS = 64;

/**
 * Drives the products of rows with weights in panels.
 *
 * Cost: 2 m n k operations, and rounding k elements of each row; weights are read once for 64 rows. Workspace of 64
 * rounded rows.
 */
export class WeightProducts {
  readonly #heap: DeviceHeap;
  #kernels: Kernels | undefined;
  #rounded: { readonly span: Span; readonly blocks: number } | undefined;
  #scratch: Span | undefined;

  /** Takes nothing before it is asked for. */
  constructor(heap: DeviceHeap) {
    this.#heap = heap;
  }

  /** Takes the workspace of products with `k` inputs, and compiles the kernels. */
  reserve(k: number): { readonly kernels: Kernels; readonly rounded: number; readonly scratch: number } {
    const blocks = k / BLOCK_WEIGHTS, heap = this.#heap;
    if (this.#rounded === undefined || this.#rounded.blocks < blocks) {
      if (this.#rounded !== undefined) heap.free(this.#rounded.span);
      if (this.#scratch !== undefined) heap.free(this.#scratch);
      const words = MOST_ROWS * blocks * (ROW_BLOCK_BYTES + ROW_SCALE_BYTES) / 4;
      this.#rounded = { span: heap.allocate("rounded rows", words, "workspace", "i32"), blocks };
      const bytes = 2 * TILE_BYTES + blocks * EXCESS_BYTES;
      this.#scratch = heap.allocate("tiles and sums of weights", bytes / 4, "workspace");
    }
    this.#kernels ??= instantiate(heap);
    return {
      kernels: this.#kernels,
      rounded: this.#rounded.span.byteOffset,
      scratch: this.#scratch!.byteOffset,
    };
  }

  /** C = A x weights, finished block by block. */
  multiply({ a, b, c, m, n, k, lda, ldc }: Product, format: WeightFormat, finish?: FinishBlock): void {
    const { kernels, rounded, scratch } = this.reserve(k), blocks = k / BLOCK_WEIGHTS;
    const run = kernels[`multiply_${format}`], scales = rounded + MOST_ROWS * blocks * ROW_BLOCK_BYTES;
    const round = kernels[`round_${format}`], isPlain = format === "bf16";
    for (let i = 0; i < m; i += MOST_ROWS) {
      const rows = Math.min(MOST_ROWS, m - i), x = a + 4 * i * lda, out = c + 4 * i * ldc;
      if (!isPlain) round(x, 4 * lda, rows, blocks, rounded, scales);
      // One row is multiplied by as many columns as can be at once.
      const first = m === 1 ? n - n % SINGLE_COLUMNS : 0,
        panels = b + panelBytes(format, first, k),
        rest = n - first;
      if (first > 0) kernels[`row_${format}`](isPlain ? x : rounded, scales, b, out, first, blocks);
      const to = out + 4 * first;
      if (rest > 0 && isPlain) run(x, 4 * lda, panels, to, 4 * ldc, rows, rest, blocks, scratch);
      else if (rest > 0) run(rounded, scales, panels, to, 4 * ldc, rows, rest, blocks, scratch);
      finish?.(out, ldc, rows, n, 0);
    }
  }
}

function instantiate({ memory }: DeviceHeap): Kernels {
  if (memory === undefined) return {};
  const module = compileOnce("products with weights in panels", () => {
    const builder = new ModuleBuilder();
    addQuantised(builder);
    addSingleRows(builder);
    return builder.encode();
  });
  return new WebAssembly.Instance(module, { env: { memory0: memory } }).exports as Kernels;
}
