/**
 * Matrix multiplication: the micro-kernels that `kernels/wasm/matmul.ts` drives.
 *
 * The micro-kernel holds a tile of C, `rows` x `4 * vectors`, in registers and adds to it the product of a
 * strip of A and a packed panel of B, one k at a time: a chain of fused multiply-adds per element in the order
 * of k, wherever the tile lies. What is not there of tiles at the edge of C goes to scratch memory, by the same
 * code, so an element's bits do not depend on the size of the matrix or on its place in a tile.
 *
 * Source: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, TOMS 2008; Van Zee and van
 * de Geijn, BLIS, TOMS 2015, for the names (panel, micro-kernel, macro-kernel, MR, NR, KC).
 */
import { type FuncRef, type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import { storeVectors } from "./walk.ts";
import { addPacking, pointers, range } from "./pack.ts";
import { addRowProducts } from "./row_products.ts";
import { load } from "./loads.ts";
import { type I32, type I32Local, int, type V128, type V128Local } from "./values.ts";

/** Register tile: MR rows of NR = 4 * vectors columns. */
export interface Tile {
  /** Rows of A. */
  readonly rows: number;
  /** Vectors of four columns of B. */
  readonly vectors: number;
  /** How an element of a packed A gets into all lanes: by a load of its own, or out of a vector of four. */
  readonly splat: "load" | "shuffle";
}

/**
 * 10 accumulators of 128 bits, 2 of B, 2 of A: fits the 15 registers that V8 has on x86-64. Each load costs a bounds
 * check there, so four elements of A come with one.
 */
export const NARROW_TILE: Tile = { rows: 5, vectors: 2, splat: "shuffle" };
/** 24 accumulators that V8's revectorizer turns into 12 of 256 bits. Needs the flags; slow without. */
export const WIDE_TILE: Tile = { rows: 6, vectors: 4, splat: "load" };

/** k steps per turn of the micro-kernel's loop. */
const UNROLL = 4;

/** How a strip of A lies in memory. */
export type Layout = "rows" | "packed";

/**
 * Adds to a module:
 * - `gemmRows(a, lda, b, c, ldc, mc, nc, kc, scratch, add)`: C = A * packed B for A with its k contiguous, or with
 *   `add` C += ...,
 * - `gemmPacked(a, lda, b, ...)`: the same for A packed into strips (lda is not used),
 * - `zeroBlock(c, ldc, rows, cols)`, and what {@link addPacking} and {@link addRowProducts} add.
 *
 * All addresses and leading dimensions are in bytes, all sizes in elements.
 */
export function addGemm(module: ModuleBuilder, tile: Tile): void {
  addPacking(module, { rows: tile.rows, columns: 4 * tile.vectors });
  for (const layout of ["rows", "packed"] as const) {
    const set = addMicroKernel(module, { tile, layout, add: false });
    const add = addMicroKernel(module, { tile, layout, add: true });
    addMacroKernel(module, { tile, layout, set, add });
  }
  addRowProducts(module);
  module.func(
    "zeroBlock",
    { c: "i32", ldc: "i32", rows: "i32", cols: "i32" },
    (k, { c, ldc, rows, cols }) => {
      const zero = k.constant(0);
      eachRow(k, rows, [[c, ldc]], () => k.vectors(cols, (v) => v.store(c, zero)));
    },
  );
}

/**
 * Adds `gemmRows2` to that of one row less than a tile's: `gemmRows` for so many rows, without the work of rows that
 * are not there.
 */
export function addFewRows(module: ModuleBuilder, { rows, ...columns }: Tile): void {
  for (let few = 2; few < rows; few++) {
    const tile = { ...columns, rows: few }, layout = "rows";
    const set = addMicroKernel(module, { tile, layout, add: false });
    const add = addMicroKernel(module, { tile, layout, add: true });
    addMacroKernel(module, { tile, layout, set, add }, `gemmRows${few}`);
  }
}

interface Micro {
  readonly tile: Tile;
  readonly layout: Layout;
  /** Whether the sums go on from what C holds. */
  readonly add: boolean;
}

function addMicroKernel(module: ModuleBuilder, { tile, layout, add }: Micro): FuncRef {
  const params = parameters("i32", ...["a", "lda", "rows", "b", "c", "ldc", "kc", "scratch"] as const);
  return module.func(
    `_micro_${layout}_${tile.rows}_${add}`,
    params,
    (k, { a, lda, rows, b, c, ldc, kc, scratch }) => {
      const cRows = rowsOfC(k, { c, ldc, rows, scratch, tile });
      const acc = cRows.map((row) =>
        range(tile.vectors, (j) => add ? k.let(load.v128(row, { offset: 16 * j })) : k.v128())
      );
      const aRows = layout === "rows" ? rowsOfA(k, a, lda, rows, tile) : [];
      emitChain(k, { tile, a, aRows, b, acc, kc });
      acc.forEach((row, i) => storeVectors(k, cRows[i], row));
    },
  );
}

/** Where a tile goes. */
export interface TileOfC {
  readonly c: I32;
  readonly ldc: I32;
  /** Rows that are there. */
  readonly rows: I32;
  /** Room for a tile. */
  readonly scratch: I32;
  readonly tile: Tile;
}

/** Pointers to the rows of a tile of C; rows that are not there lie in the scratch memory. */
export function rowsOfC(k: Kernel, { c, ldc, rows, scratch, tile }: TileOfC): I32Local[] {
  const result = [k.i32(c)];
  for (let i = 1; i < tile.rows; i++) {
    result.push(k.i32(rows.gtS(i).select(result[i - 1].add(ldc), scratch.add(16 * i * tile.vectors))));
  }
  return result;
}

/**
 * Pointers to the rows of a strip of A. Rows behind the last one are not there: they read the last one again, their
 * products are thrown away.
 */
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
  const turns = (count: number) => {
    const isShuffled = count % 4 === 0 && tile.splat === "shuffle";
    const packed = isShuffled ? shuffled(k, a) : loaded(a);
    for (let u = 0; u < count; u++) {
      const bRow = range(tile.vectors, (j) => k.let(load.v128(b, { offset: 16 * (u * tile.vectors + j) })));
      for (let i = 0; i < tile.rows; i++) {
        const value = isPacked
          ? packed(isShuffled ? u * tile.rows + i : i)
          : load.splat(aRows[i], { offset: 4 * u });
        multiplyAdd(k.let(value), bRow, acc[i]);
      }
      if (isPacked && !isShuffled) a.set(a.add(4 * tile.rows));
    }
    for (const row of aRows) row.set(row.add(4 * count));
    if (isPacked && isShuffled) a.set(a.add(4 * tile.rows * count));
    b.set(b.add(16 * tile.vectors * count));
    kc.set(kc.sub(count));
  };
  k.while(kc.geS(UNROLL), () => turns(UNROLL));
  k.while(kc, () => turns(1));
}

/** Element `i` of a packed A in all lanes. */
type Splat = (i: number) => V128;

function loaded(a: I32): Splat {
  return (i) => load.splat(a, { offset: 4 * i });
}

/** Elements in order: each vector is loaded when its first one is asked for. */
function shuffled(k: Kernel, a: I32): Splat {
  let four: V128;
  return (i) => {
    const lane = i & 3;
    if (lane === 0) four = k.let(load.v128(a, { offset: 4 * i }));
    return four.shuffle(four, [lane, lane, lane, lane]);
  };
}

function multiplyAdd(a: V128, b: readonly V128[], acc: readonly V128Local[]): void {
  acc.forEach((sum, j) => sum.set(a.madd(b[j], sum)));
}

interface Macro {
  readonly tile: Tile;
  readonly layout: Layout;
  readonly set: FuncRef;
  readonly add: FuncRef;
}

/** Loops over the tiles of an mc x nc block: panels of B outside (one stays in L1), strips of A inside. */
function addMacroKernel(
  module: ModuleBuilder,
  { tile, layout, set, add }: Macro,
  name = layout === "rows" ? "gemmRows" : "gemmPacked",
): void {
  const NR = 4 * tile.vectors, MR = tile.rows;
  const names = ["a", "lda", "b", "c", "ldc", "mc", "nc", "kc", "scratch", "adds"] as const;
  module.func(name, parameters("i32", ...names), (k, args) => {
    const { a, lda, b, c, ldc, mc, nc, kc, scratch, adds } = args;
    const panelBytes = k.i32(kc.mul(4 * NR)), tileBytes = 4 * NR * MR;
    k.for(0, nc, NR, (j) => {
      const aStrip = k.i32(a), cTile = k.i32(c.add(j.shl(2))), cols = k.i32(nc.sub(j).minU(NR));
      k.for(0, mc, MR, (i) => {
        const rows = k.i32(mc.sub(i).minU(MR));
        const run = (to: I32, ld: I32) => {
          const micro = [aStrip, lda, rows, b, to, ld, kc, scratch];
          k.if(adds, () => k.call(add, micro), () => k.call(set, micro));
        };
        k.if(cols.eq(NR), () => run(cTile, ldc), () => {
          const whole = { from: scratch.add(tileBytes), ldFrom: int(4 * NR), rows, cols };
          k.if(
            adds,
            () => copyTile(k, { ...whole, from: cTile, ldFrom: ldc, to: whole.from, ldTo: whole.ldFrom }),
          );
          run(whole.from, whole.ldFrom);
          copyTile(k, { ...whole, to: cTile, ldTo: ldc });
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
