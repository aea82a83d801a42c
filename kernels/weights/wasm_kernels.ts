/**
 * Products of rows with weights in panels: rows are rounded, 32 elements with one scale, and multiplied as integers. The sum
 * of a block is exact; the blocks of an element of the result are added as one chain, so its bits depend on its row and its
 * weights alone.
 *
 * The instruction that is fastest everywhere multiplies int8 by numbers from 0 to 127. With q4_0 these are the weights, 8 too
 * high, and rows are int8; with q8_0 they are the rows, of 7 bits and 64 too high. What is too much is known before.
 *
 * Source: ggml, `ggml_vec_dot_q8_0_q8_0` and `ggml_vec_dot_q4_0_q8_0`, for the arithmetic.
 */
import { BLOCK_FORMATS, BLOCK_WEIGHTS, type BlockFormat } from "../../files/mod.ts";
import { type FuncRef, type Kernel, type ModuleBuilder, parameters } from "../wasm/builder.ts";
import { copyTile, rowsOfC } from "../wasm/gemm.ts";
import { load } from "../wasm/loads.ts";
import { pointers, range } from "../wasm/pack.ts";
import { type I32, int, type V128, type V128Local } from "../wasm/values.ts";
import { storeVectors } from "../wasm/walk.ts";
import type { WeightFormat } from "./formats.ts";
import { PANEL_BLOCK_BYTES, PANEL_OUTPUTS, SCALE_BYTES } from "./panels.ts";

/** Rows of a tile: as many as registers hold, which blocks need twice as many of. */
const TILE_ROWS: Readonly<Record<WeightFormat, number>> = { bf16: 6, q8_0: 3, q4_0: 3 };
/** Bytes of the largest tile of results. */
export const TILE_BYTES = 4 * PANEL_OUTPUTS * TILE_ROWS.bf16;
/** Vectors of a panel. */
export const VECTORS = PANEL_OUTPUTS / 4;
/** Bytes of a rounded block of a row. */
export const ROW_BLOCK_BYTES = BLOCK_WEIGHTS;
/** Bytes of what is known of a rounded block: its scale in f32, and what q4_0 counts too much in i32. */
export const ROW_SCALE_BYTES = 8;
/** Bytes of what q8_0 counts too much in a block of a panel. */
export const EXCESS_BYTES = 4 * PANEL_OUTPUTS;

/** Numbers that rows are rounded to: up to `most`, and `shift` higher. */
export const ROUNDING: Readonly<Record<BlockFormat, { readonly most: number; readonly shift: number }>> = {
  q8_0: { most: 63, shift: 64 },
  q4_0: { most: 127, shift: 0 },
};

/**
 * Adds to a module:
 * - `round_q8_0 | round_q4_0(x, ldx, rows, blocks, q, scales)`: rows [rows][32 blocks] as bytes, tight, and what is known of
 *   their blocks,
 * - `multiply_q8_0 | multiply_q4_0(q, scales, panels, c, ldc, rows, cols, blocks, scratch)`: C = rounded rows x weights,
 * - `multiply_bf16(x, ldx, panels, ...)`: the same for rows as they are.
 *
 * All addresses and leading dimensions are in bytes, all sizes in elements; `scratch` has room for two tiles, and for the
 * excess of a panel.
 */
export function addQuantised(module: ModuleBuilder): void {
  for (const format of BLOCK_FORMATS) {
    addRoundRows(module, format);
    const micros = range(TILE_ROWS[format], (i) => addMicroKernel(module, format, i + 1));
    const strides = (blocks: I32) => ({ x: blocks.mul(ROW_BLOCK_BYTES), more: blocks.mul(ROW_SCALE_BYTES) });
    const begin = format === "q8_0" ? addExcess(module) : undefined;
    addMacroKernel(module, format, { names: ["q", "scales"], micros, strides, begin });
  }
  const micros = range(TILE_ROWS.bf16, (i) => addBf16Kernel(module, i + 1));
  addMacroKernel(module, "bf16", {
    names: ["x", "ldx"],
    micros,
    strides: (_, ldx) => ({ x: ldx, more: int(0) }),
  });
}

function addRoundRows(module: ModuleBuilder, format: BlockFormat): void {
  const names = ["x", "ldx", "rows", "blocks", "q", "scales"] as const;
  module.func(`round_${format}`, parameters("i32", ...names), (k, { x, ldx, rows, blocks, q, scales }) => {
    k.for(0, rows, 1, () => {
      const from = k.i32(x);
      k.for(0, blocks, 1, () => {
        emitRoundBlock(k, format, { from, q, scales });
        from.set(from.add(4 * BLOCK_WEIGHTS));
        q.set(q.add(ROW_BLOCK_BYTES));
        scales.set(scales.add(ROW_SCALE_BYTES));
      });
      x.set(x.add(ldx));
    });
  });
}

interface RoundedBlock {
  readonly from: I32;
  readonly q: I32;
  readonly scales: I32;
}

function emitRoundBlock(k: Kernel, format: BlockFormat, { from, q, scales }: RoundedBlock): void {
  const { most, shift } = ROUNDING[format];
  const values = range(BLOCK_WEIGHTS / 4, (i) => k.let(load.v128(from, { offset: 16 * i })));
  const fold = (vectors: readonly V128[], join: (a: V128, b: V128) => V128) => {
    let all = vectors;
    while (all.length > 1) all = range(all.length / 2, (i) => k.let(join(all[2 * i], all[2 * i + 1])));
    const swapped = k.let(join(all[0], all[0].shuffle(all[0], [2, 3, 0, 1])));
    return k.let(join(swapped, swapped.shuffle(swapped, [1, 0, 3, 2])));
  };
  const max = fold(values.map((value) => value.abs()), (a, b) => a.max(b));
  k.storeF32(scales, max.mul(k.constant(1 / most)).lane(0));
  // Of zeros only, most / 0 x 0 is no number, which becomes 0.
  const inverse = k.let(k.constant(most).div(max));
  const rounded = values.map((value) => k.let(value.mul(inverse).nearest().toI32()));
  const shifted = shift === 0 ? rounded : rounded.map((value) => k.let(value.addI32(k.constantI32(shift))));
  for (let i = 0; i < shifted.length; i += 4) {
    const [low, high] = [
      k.let(shifted[i].narrowS16(shifted[i + 1])),
      k.let(shifted[i + 2].narrowS16(shifted[i + 3])),
    ];
    k.storeV128(q, low.narrowS8(high), { offset: 4 * i });
  }
  if (format === "q8_0") return;
  const sum = fold(rounded, (a, b) => a.addI32(b));
  k.storeF32(scales, k.let(k.constantI32(0).subI32(sum.shlI32(3))).lane(0), { offset: 4 });
}

/** `_excess(panel, blocks, to)`: what is too much in products of each block with rows that are 64 too high, negative. */
function addExcess(module: ModuleBuilder): FuncRef {
  return module.func("_excess", parameters("i32", "panel", "blocks", "to"), (k, { panel, blocks, to }) => {
    k.for(0, blocks, 1, () => {
      const sums = range(VECTORS, () => k.v128());
      for (let i = 0; i < BLOCK_WEIGHTS / 4; i++) {
        sums.forEach((sum, j) => {
          const weights = load.v128(panel, { offset: SCALE_BYTES + (i * VECTORS + j) * 16 });
          sum.set(weights.dotI7(k.constantI32(0x01010101), sum));
        });
      }
      storeVectors(k, to, sums.map((sum) => k.let(k.constantI32(0).subI32(sum.shlI32(6)))));
      panel.set(panel.add(PANEL_BLOCK_BYTES.q8_0));
      to.set(to.add(EXCESS_BYTES));
    });
  });
}

function addMicroKernel(module: ModuleBuilder, format: BlockFormat, rows: number): FuncRef {
  const names = ["q", "scales", "panel", "c", "ldc", "blocks", "scratch"] as const;
  const params = parameters("i32", ...names), tile = { rows, vectors: VECTORS, splat: "load" as const };
  return module.func(
    `_micro_${format}_${rows}`,
    params,
    (k, { q, scales, panel, c, ldc, blocks, scratch }) => {
      const cRows = rowsOfC(k, { c, ldc, rows: int(rows), scratch, tile }),
        excess = k.i32(scratch.add(2 * TILE_BYTES));
      const qRows = pointers(k, q, blocks.mul(ROW_BLOCK_BYTES), rows);
      const scaleRows = pointers(k, scales, blocks.mul(ROW_SCALE_BYTES), rows);
      const sums = qRows.map(() => range(VECTORS, () => k.v128()));
      k.while(blocks, () => {
        const products = emitBlock(k, format, { panel, qRows, scaleRows, excess });
        const scale = range(VECTORS, (j) => k.let(load.v128(panel, { offset: 16 * j })));
        sums.forEach((row, i) => {
          const own = k.let(load.splat(scaleRows[i]));
          const factors = scale.map((value) => k.let(value.mul(own)));
          const floats = products[i].map((product) => k.let(product.fromI32()));
          row.forEach((sum, j) => sum.set(floats[j].madd(factors[j], sum)));
        });
        panel.set(panel.add(PANEL_BLOCK_BYTES[format]));
        if (format === "q8_0") excess.set(excess.add(EXCESS_BYTES));
        for (const row of qRows) row.set(row.add(ROW_BLOCK_BYTES));
        for (const row of scaleRows) row.set(row.add(ROW_SCALE_BYTES));
        blocks.set(blocks.sub(1));
      });
      sums.forEach((row, i) => storeVectors(k, cRows[i], row));
    },
  );
}

/** A block of a panel, and of the rows that it is multiplied by. */
export interface BlockOfRows {
  readonly panel: I32;
  readonly qRows: readonly I32[];
  readonly scaleRows: readonly I32[];
  /** With q8_0: where it stands what is too much; undefined: it is counted here. */
  readonly excess?: I32;
}

/** Integer products of a block, i32 lanes, for each row. */
export function emitBlock(
  k: Kernel,
  format: BlockFormat,
  { panel, qRows, scaleRows, excess }: BlockOfRows,
): V128Local[][] {
  const isQ8 = format === "q8_0";
  const starts = isQ8
    ? range(
      VECTORS,
      (j) => k.let(excess === undefined ? k.constantI32(0) : load.v128(excess, { offset: 16 * j })),
    )
    : [];
  const tooMuch = isQ8 && excess === undefined ? range(VECTORS, () => k.v128()) : [];
  const products = qRows.map((_, i) => {
    const start = isQ8 ? undefined : k.let(load.splat(scaleRows[i], { offset: 4 }));
    return range(VECTORS, (j) => k.let(start ?? starts[j]));
  });
  const multiply = (group: number, weights: readonly V128[]) =>
    qRows.forEach((row, i) => {
      const four = k.let(load.splat(row, { offset: 4 * group }));
      products[i].forEach((sum, j) =>
        sum.set(isQ8 ? weights[j].dotI7(four, sum) : four.dotI7(weights[j], sum))
      );
    });
  const weightsOf = (i: number) =>
    range(VECTORS, (j) => k.let(load.v128(panel, { offset: SCALE_BYTES + (i * VECTORS + j) * 16 })));
  for (let i = 0; isQ8 && i < BLOCK_WEIGHTS / 4; i++) {
    const weights = weightsOf(i);
    multiply(i, weights);
    tooMuch.forEach((sum, j) => sum.set(weights[j].dotI7(k.constantI32(0x01010101), sum)));
  }
  for (const row of products) tooMuch.forEach((sum, j) => row[j].set(row[j].subI32(sum.shlI32(6))));
  for (let i = 0; !isQ8 && i < BLOCK_WEIGHTS / 8; i++) {
    const both = weightsOf(i), mask = k.constantI32(0x0f0f0f0f);
    multiply(2 * i, both.map((value) => k.let(value.and(mask))));
    multiply(2 * i + 1, both.map((value) => k.let(value.shrU16(4).and(mask))));
  }
  return products;
}

/** One chain over all inputs, as the products of f32. */
function addBf16Kernel(module: ModuleBuilder, rows: number): FuncRef {
  const names = ["x", "ldx", "panel", "c", "ldc", "blocks", "scratch"] as const, unroll = 4;
  const params = parameters("i32", ...names), tile = { rows, vectors: VECTORS, splat: "load" as const };
  return module.func(`_micro_bf16_${rows}`, params, (k, { x, ldx, panel, c, ldc, blocks, scratch }) => {
    const cRows = rowsOfC(k, { c, ldc, rows: int(rows), scratch, tile }), xRows = pointers(k, x, ldx, rows);
    const sums = xRows.map(() => range(VECTORS, () => k.v128())), left = k.i32(blocks.mul(BLOCK_WEIGHTS));
    k.while(left, () => {
      for (let u = 0; u < unroll; u++) {
        const weights = range(
          VECTORS,
          (j) => k.let(load.u16x4(panel, { offset: (u * VECTORS + j) * 8 }).shlI32(16)),
        );
        xRows.forEach((row, i) => {
          const value = k.let(load.splat(row, { offset: 4 * u }));
          sums[i].forEach((sum, j) => sum.set(value.madd(weights[j], sum)));
        });
      }
      for (const row of xRows) row.set(row.add(4 * unroll));
      panel.set(panel.add(2 * PANEL_OUTPUTS * unroll));
      left.set(left.sub(unroll));
    });
    sums.forEach((row, i) => storeVectors(k, cRows[i], row));
  });
}

/** What a macro-kernel is made of. */
interface Macro {
  /** Its first two parameters: where rows lie, and what else is known of them. */
  readonly names: readonly [string, string];
  /** Kernels of 1, 2, ... rows. */
  readonly micros: readonly FuncRef[];
  /** Bytes from a row to the next, of both. */
  readonly strides: (blocks: I32, second: I32) => { readonly x: I32; readonly more: I32 };
  /** Looks at a panel before its rows: `(panel, blocks, to)`. */
  readonly begin?: FuncRef;
}

/** Loops over panels outside, which come from memory once, and strips of rows inside. */
function addMacroKernel(
  module: ModuleBuilder,
  format: WeightFormat,
  { names, micros, strides, begin }: Macro,
): void {
  const rest = ["panel", "c", "ldc", "rows", "cols", "blocks", "scratch"];
  module.func(`multiply_${format}`, parameters("i32", ...names, ...rest), (k, args) => {
    const [x, more] = names.map((name) => args[name]), { panel, c, ldc, rows, cols, blocks, scratch } = args;
    const stride = strides(blocks, more), bytes = k.i32(blocks.mul(PANEL_BLOCK_BYTES[format]));
    const most = micros.length;
    k.for(0, cols, PANEL_OUTPUTS, (j) => {
      const strip = k.i32(x), known = k.i32(more), to = k.i32(c.add(j.shl(2)));
      const own = k.i32(cols.sub(j).minU(PANEL_OUTPUTS));
      if (begin !== undefined) k.call(begin, [panel, blocks, scratch.add(2 * TILE_BYTES)]);
      k.for(0, rows, most, (i) => {
        const count = k.i32(rows.sub(i).minU(most));
        const run = (target: I32, ld: I32) =>
          micros.forEach((micro, r) =>
            k.if(count.eq(r + 1), () => k.call(micro, [strip, known, panel, target, ld, blocks, scratch]))
          );
        k.if(own.eq(PANEL_OUTPUTS), () => run(to, ldc), () => {
          const from = scratch.add(TILE_BYTES), ldFrom = int(4 * PANEL_OUTPUTS);
          run(from, ldFrom);
          copyTile(k, { from, ldFrom, to, ldTo: ldc, rows: count, cols: own });
        });
        strip.set(strip.add(stride.x.mul(most)));
        known.set(known.add(stride.more.mul(most)));
        to.set(to.add(ldc.mul(most)));
      });
      panel.set(panel.add(bytes));
    });
  });
}
