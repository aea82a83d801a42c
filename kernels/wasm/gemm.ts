/**
 * Matrix multiplication: the packing and micro-kernels that `kernels/wasm/matmul.ts` drives.
 *
 * The micro-kernel holds a tile of C, `rows` x `4 * vectors`, in registers and adds to it the product of a
 * strip of A and a packed panel of B, one k at a time: a chain of fused multiply-adds per element in the order
 * of k, wherever the tile lies. Tiles at the edge of C go through a full-size tile in scratch memory, by the same
 * code, so an element's bits do not depend on the size of the matrix or on its place in a tile.
 *
 * Source: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, TOMS 2008; Van Zee and van
 * de Geijn, BLIS, TOMS 2015, for the names (panel, micro-kernel, macro-kernel, MR, NR, KC).
 */
import { type FuncRef, type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { type I32, type I32Local, int, load, type V128, type V128Local } from "./values.ts";

/** Register tile: MR rows of NR = 4 * vectors columns. */
export interface Tile {
  /** Rows of A. */
  readonly rows: number;
  /** Vectors of four columns of B. */
  readonly vectors: number;
}

/** 12 accumulators of 128 bits, 2 of B, 1 of A: fills the 16 registers of x86-64 without widening. */
export const NARROW_TILE: Tile = { rows: 6, vectors: 2 };
/** 24 accumulators that V8's revectorizer turns into 12 of 256 bits. Needs the flags; slow without. */
export const WIDE_TILE: Tile = { rows: 6, vectors: 4 };

/** k steps per turn of the micro-kernel's loop. */
const UNROLL = 4;

/** How a strip of A lies in memory. */
export type Layout = "rows" | "packed";

/**
 * Adds to a module:
 * - `gemmRows(a, lda, b, c, ldc, mc, nc, kc, scratch)`: C += A * packed B for A with its k contiguous,
 * - `gemmPacked(a, lda, b, ...)`: the same for A packed into strips (lda is not used),
 * - `packRows(from, ld, to, kc, nc, gap)`: B stored [k][n] into panels, `packColumns`: B stored [n][k] into panels; `gap`
 *   bytes behind each panel are left for other k,
 * - `packStrips(from, ld, to, kc, mc, gap)`: A stored [k][m] into strips of MR rows for `gemmPacked`,
 * - `zeroBlock(c, ldc, rows, cols)`.
 *
 * All addresses and leading dimensions are in bytes, all sizes in elements.
 */
export function addGemm(module: ModuleBuilder, tile: Tile): void {
  addPackRows(module, "packRows", 4 * tile.vectors);
  addPackRows(module, "packStrips", tile.rows);
  addPackColumns(module, tile);
  for (const layout of ["rows", "packed"] as const) {
    const micro = addMicroKernel(module, tile, layout);
    addMacroKernel(module, tile, layout, micro);
  }
  module.func(
    "zeroBlock",
    { c: "i32", ldc: "i32", rows: "i32", cols: "i32" },
    (k, { c, ldc, rows, cols }) => {
      k.for(0, rows, 1, () => {
        k.zero(c, cols.shl(2));
        c.set(c.add(ldc));
      });
    },
  );
}

function addMicroKernel(module: ModuleBuilder, tile: Tile, layout: Layout): FuncRef {
  const params = { a: "i32", lda: "i32", rows: "i32", b: "i32", c: "i32", ldc: "i32", kc: "i32" } as const;
  return module.func(`_micro_${layout}`, params, (k, { a, lda, rows, b, c, ldc, kc }) => {
    const cRows = pointers(k, c, ldc, tile.rows);
    const acc = cRows.map((row) => range(tile.vectors, (j) => k.let(load.v128(row, { offset: 16 * j }))));
    const aRows = layout === "rows" ? rowsOfA(k, a, lda, rows, tile) : [];
    emitChain(k, { tile, a, aRows, b, acc, kc });
    acc.forEach((row, i) => row.forEach((value, j) => k.storeV128(cRows[i], value, { offset: 16 * j })));
  });
}

/** Pointers to the rows of a strip of A. Rows behind the last one are not there: they read the last one again, their products are thrown away. */
export function rowsOfA(k: Kernel, a: I32, lda: I32, rows: I32, tile: Tile): I32Local[] {
  return pointers(k, a, (i) => lda.mul(rows.gtS(i)), tile.rows);
}

/** A strip of A and a panel of B to multiply; all pointers and the count move on. */
export interface Chain {
  readonly tile: Tile;
  /** A packed strip; used if there are no `aRows`. */
  readonly a: I32Local;
  /** Rows of A with their k contiguous. */
  readonly aRows: readonly I32Local[];
  /** A packed panel. */
  readonly b: I32Local;
  /** The tile. */
  readonly acc: readonly (readonly V128Local[])[];
  /** Terms of the sums. */
  readonly kc: I32Local;
}

/** Adds `kc` terms to each sum of a tile, one after the other. */
export function emitChain(k: Kernel, { tile, a, aRows, b, acc, kc }: Chain): void {
  const isPacked = aRows.length === 0;
  const step = (u: number) => {
    const bRow = range(tile.vectors, (j) => k.let(load.v128(b, { offset: 16 * (u * tile.vectors + j) })));
    for (let i = 0; i < tile.rows; i++) {
      const value = isPacked ? load.splat(a, { offset: 4 * i }) : load.splat(aRows[i], { offset: 4 * u });
      multiplyAdd(k.let(value), bRow, acc[i]);
    }
    if (isPacked) a.set(a.add(4 * tile.rows));
  };
  const turns = (count: number) => {
    for (let u = 0; u < count; u++) step(u);
    for (const row of aRows) row.set(row.add(4 * count));
    b.set(b.add(16 * tile.vectors * count));
    kc.set(kc.sub(count));
  };
  k.while(kc.geS(UNROLL), () => turns(UNROLL));
  k.while(kc, () => turns(1));
}

function multiplyAdd(a: V128, b: readonly V128[], acc: readonly V128Local[]): void {
  acc.forEach((sum, j) => sum.set(a.madd(b[j], sum)));
}

/** `count` pointers, each `stride` (of its index) bytes behind the one before. */
export function pointers(
  k: Kernel,
  base: I32,
  stride: I32 | ((i: number) => I32),
  count: number,
): I32Local[] {
  const result = [k.i32(base)];
  for (let i = 1; i < count; i++) {
    result.push(k.i32(result[i - 1].add(typeof stride === "function" ? stride(i) : stride)));
  }
  return result;
}

/** `count` values, by their index. */
export function range<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** Loops over the tiles of an mc x nc block: panels of B outside (one stays in L1), strips of A inside. */
function addMacroKernel(module: ModuleBuilder, tile: Tile, layout: Layout, micro: FuncRef): void {
  const NR = 4 * tile.vectors, MR = tile.rows;
  const name = layout === "rows" ? "gemmRows" : "gemmPacked";
  const params = {
    a: "i32",
    lda: "i32",
    b: "i32",
    c: "i32",
    ldc: "i32",
    mc: "i32",
    nc: "i32",
    kc: "i32",
    scratch: "i32",
  } as const;
  module.func(name, params, (k, { a, lda, b, c, ldc, mc, nc, kc, scratch }) => {
    const panelBytes = k.i32(kc.mul(4 * NR));
    k.for(0, nc, NR, (j) => {
      const aStrip = k.i32(a), cTile = k.i32(c.add(j.shl(2)));
      const cols = k.i32(nc.sub(j).minU(NR));
      k.for(0, mc, MR, (i) => {
        const rows = k.i32(mc.sub(i).minU(MR));
        k.if(rows.eq(MR).and(cols.eq(NR)), () => {
          k.call(micro, [aStrip, lda, rows, b, cTile, ldc, kc]);
        }, () => {
          copyTile(k, { from: cTile, ldFrom: ldc, to: scratch, ldTo: int(4 * NR), rows, cols });
          k.call(micro, [aStrip, lda, rows, b, scratch, int(4 * NR), kc]);
          copyTile(k, { from: scratch, ldFrom: int(4 * NR), to: cTile, ldTo: ldc, rows, cols });
        });
        aStrip.set(aStrip.add(layout === "rows" ? lda.mul(MR) : kc.mul(4 * MR)));
        cTile.set(cTile.add(ldc.mul(MR)));
      });
      b.set(b.add(panelBytes));
    });
  });
}

/** A tile in memory to be copied; leading dimensions in bytes. */
export interface TileCopy {
  from: I32;
  ldFrom: I32;
  to: I32;
  ldTo: I32;
  rows: I32;
  cols: I32;
}

/** Copies the elements of a tile that are there. */
export function copyTile(k: Kernel, { from, ldFrom, to, ldTo, rows, cols }: TileCopy): void {
  const source = k.i32(from), target = k.i32(to);
  k.for(0, rows, 1, () => {
    k.copy(target, source, cols.shl(2));
    source.set(source.add(ldFrom));
    target.set(target.add(ldTo));
  });
}

const PACK_PARAMS = parameters("i32", "from", "ld", "to", "kc", "nc", "gap");

/** Rows of `nc` elements into panels of `width`: panel p holds kc rows of its columns, zeros behind nc. */
function addPackRows(module: ModuleBuilder, name: string, width: number): void {
  module.func(name, PACK_PARAMS, (k, { from, ld, to, kc, nc, gap }) => {
    const eachRow = (source: I32Local, copyRow: () => void) => {
      k.for(0, kc, 1, () => {
        copyRow();
        source.set(source.add(ld));
        to.set(to.add(4 * width));
      });
    };
    k.for(0, nc, width, (j) => {
      const source = k.i32(from.add(j.shl(2)));
      const cols = k.i32(nc.sub(j));
      k.if(cols.geS(width), () => {
        eachRow(source, () => {
          for (let v = 0; v < width >> 2; v++) {
            k.storeV128(to, load.v128(source, { offset: 16 * v }), { offset: 16 * v });
          }
          const rest = width & 3, offset = 4 * (width - rest);
          if (rest > 0) k.storeLanes(to, load.v128(source, { offset }), rest, { offset });
        });
      }, () => {
        k.zero(to, kc.mul(4 * width));
        eachRow(source, () => k.copy(to, source, cols.shl(2)));
      });
      to.set(to.add(gap));
    });
  });
}

/** B stored [n][k] into the same panels: 4 x 4 blocks are transposed in registers. */
function addPackColumns(module: ModuleBuilder, tile: Tile): void {
  const NR = 4 * tile.vectors;
  module.func("packColumns", PACK_PARAMS, (k, { from, ld, to, kc, nc, gap }) => {
    k.for(0, nc, NR, (j) => {
      const cols = k.i32(nc.sub(j).minU(NR));
      k.if(cols.ltS(NR), () => k.zero(to, kc.mul(4 * NR)));
      const full = k.i32(cols.and(-4));
      const source = k.i32(from.add(j.mul(ld))), target = k.i32(to);
      k.for(0, full, 4, () => {
        packFourColumns(k, pointers(k, source, ld, 4), k.i32(target), k.i32(kc), 4 * NR);
        source.set(source.add(ld.shl(2)));
        target.set(target.add(16));
      });
      k.for(full, cols, 1, () => {
        const from1 = k.i32(source), to1 = k.i32(target);
        k.for(0, kc, 1, () => {
          k.storeF32(to1, load.f32(from1));
          from1.set(from1.add(4));
          to1.set(to1.add(4 * NR));
        });
        source.set(source.add(ld));
        target.set(target.add(4));
      });
      to.set(to.add(kc.mul(4 * NR)).add(gap));
    });
  });
}

function packFourColumns(
  k: Kernel,
  rows: I32Local[],
  target: I32Local,
  left: I32Local,
  panelRowBytes: number,
): void {
  k.while(left.geS(4), () => {
    transpose4(k, rows.map((row) => k.let(load.v128(row)))).forEach((column, i) => {
      k.storeV128(target, column, { offset: panelRowBytes * i });
    });
    for (const row of rows) row.set(row.add(16));
    target.set(target.add(4 * panelRowBytes));
    left.set(left.sub(4));
  });
  k.while(left, () => {
    rows.forEach((row, i) => k.storeF32(target, load.f32(row), { offset: 4 * i }));
    for (const row of rows) row.set(row.add(4));
    target.set(target.add(panelRowBytes));
    left.set(left.sub(1));
  });
}

/** The columns of a 4 x 4 block given by its rows. */
export function transpose4(k: Kernel, rows: readonly V128[]): V128[] {
  const [a, b, c, d] = rows;
  const low = k.let(a.shuffle(b, [0, 4, 1, 5])), high = k.let(a.shuffle(b, [2, 6, 3, 7]));
  const low2 = k.let(c.shuffle(d, [0, 4, 1, 5])), high2 = k.let(c.shuffle(d, [2, 6, 3, 7]));
  return [
    low.shuffle(low2, [0, 1, 4, 5]),
    low.shuffle(low2, [2, 3, 6, 7]),
    high.shuffle(high2, [0, 1, 4, 5]),
    high.shuffle(high2, [2, 3, 6, 7]),
  ];
}
