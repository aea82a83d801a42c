/**
 * Products of one row with weights in panels, as a token that is written asks for: several panels are read side by side, which
 * memory answers faster than one after the other. Sums are those of `wasm_kernels.ts`, to the bit.
 */
import { BLOCK_FORMATS, BLOCK_WEIGHTS, type BlockFormat } from "../../files/mod.ts";
import { type Kernel, type ModuleBuilder, parameters } from "../wasm/builder.ts";
import { load } from "../wasm/loads.ts";
import { pointers, range } from "../wasm/pack.ts";
import { type I32Local, type V128Local } from "../wasm/values.ts";
import { storeVectors } from "../wasm/walk.ts";
import type { WeightFormat } from "./formats.ts";
import { PANEL_BLOCK_BYTES, PANEL_OUTPUTS } from "./panels.ts";
import { emitBlock, ROW_BLOCK_BYTES, ROW_SCALE_BYTES, VECTORS } from "./wasm_kernels.ts";

/** Panels that are read side by side. */
const PANELS = 4;
/** Columns of a turn: there must be a multiple of them. */
export const SINGLE_COLUMNS: number = PANELS * PANEL_OUTPUTS;

/**
 * Adds to a module `row_q8_0 | row_q4_0(q, scales, panels, c, cols, blocks)`: C = a rounded row x weights, and
 * `row_bf16(x, scales, panels, ...)`, the same for a row as it is; `cols` is a multiple of {@link SINGLE_COLUMNS}.
 */
export function addSingleRows(module: ModuleBuilder): void {
  for (const format of BLOCK_FORMATS) {
    addRow(module, format, (k, row, panels) => emitBlocks(k, format, row, panels));
  }
  addRow(module, "bf16", emitPlain);
}

/** A row, and how many blocks it has. */
interface RowLocals {
  readonly x: I32Local;
  readonly scales: I32Local;
  readonly left: I32Local;
}

/** A panel and the sums of its columns. */
interface PanelLocals {
  readonly at: I32Local;
  readonly sums: readonly V128Local[];
}

type EmitTurn = (k: Kernel, row: RowLocals, panels: readonly PanelLocals[]) => void;

function addRow(module: ModuleBuilder, format: WeightFormat, emit: EmitTurn): void {
  const names = ["x", "scales", "panel", "c", "cols", "blocks"] as const;
  module.func(`row_${format}`, parameters("i32", ...names), (k, { x, scales, panel, c, cols, blocks }) => {
    const bytes = k.i32(blocks.mul(PANEL_BLOCK_BYTES[format]));
    k.while(cols, () => {
      const row = { x: k.i32(x), scales: k.i32(scales), left: k.i32(blocks) };
      const panels = pointers(k, panel, bytes, PANELS).map((at) => ({
        at,
        sums: range(VECTORS, () => k.v128()),
      }));
      k.while(row.left, () => {
        emit(k, row, panels);
        for (const { at } of panels) at.set(at.add(PANEL_BLOCK_BYTES[format]));
        row.left.set(row.left.sub(1));
      });
      panels.forEach(({ sums }, i) => storeVectors(k, k.i32(c.add(4 * PANEL_OUTPUTS * i)), sums));
      panel.set(panel.add(bytes.mul(PANELS)));
      c.set(c.add(4 * SINGLE_COLUMNS));
      cols.set(cols.sub(SINGLE_COLUMNS));
    });
  });
}

function emitBlocks(
  k: Kernel,
  format: BlockFormat,
  { x, scales }: RowLocals,
  panels: readonly PanelLocals[],
): void {
  const own = k.let(load.splat(scales));
  for (const { at, sums } of panels) {
    const [products] = emitBlock(k, format, { panel: at, qRows: [x], scaleRows: [scales] });
    const factors = range(VECTORS, (j) => k.let(load.v128(at, { offset: 16 * j }).mul(own)));
    const floats = products.map((product) => k.let(product.fromI32()));
    sums.forEach((sum, j) => sum.set(floats[j].madd(factors[j], sum)));
  }
  x.set(x.add(ROW_BLOCK_BYTES));
  scales.set(scales.add(ROW_SCALE_BYTES));
}

function emitPlain(k: Kernel, { x }: RowLocals, panels: readonly PanelLocals[]): void {
  for (let i = 0; i < BLOCK_WEIGHTS; i++) {
    const value = k.let(load.splat(x, { offset: 4 * i }));
    for (const { at, sums } of panels) {
      const weights = sums.map((_, j) => k.let(load.u16x4(at, { offset: (i * VECTORS + j) * 8 }).shlI32(16)));
      sums.forEach((sum, j) => sum.set(value.madd(weights[j], sum)));
    }
  }
  x.set(x.add(4 * BLOCK_WEIGHTS));
}
