/**
 * Matrix products whose sums over k are trees (`SumTree`): the micro-kernel of `gemm.ts`, which begins a new chain at
 * every leaf and keeps partial tiles on a stack.
 *
 * A product works on a table of runs of k, three i32 for each: bytes from the end of the run before to this one in a row
 * of A (not used if A is packed, as it is packed run by run), the number of terms, and how many partial tiles to add when
 * the run is done (-1: the leaf goes on with the next run).
 */
import { type FuncRef, type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { copyTile, emitChain, type Layout, rowsOfA, rowsOfC, type Tile } from "./gemm.ts";
import { storeVectors } from "./walk.ts";
import { range } from "./pack.ts";
import { load } from "./loads.ts";
import { type I32, type I32Local, int, splat, type V128Local } from "./values.ts";

/** Bytes of a run in the table. */
export const RUN_BYTES = 12;

/** What becomes of C. */
export const TREE_MODES = { set: 0, chain: 1, add: 2 } as const;
/** The sum replaces C, begins its first chain with C, or is added to C. */
export type TreeMode = keyof typeof TREE_MODES;

/**
 * Adds to a module:
 * - `treeRows(a, lda, b, c, ldc, mc, nc, table, end, depth, mode)`: C = tree sum of A * packed B for A with its k
 *   contiguous; `b` has `depth` rows in all runs together, `stack` has room for the partial tiles and, before them,
 * two tiles,
 * - `treePacked(...)`: the same for A packed into strips,
 * - `addBlock(c, ldc, from, ldFrom, rows, cols)`: C += from.
 */
export function addTreeGemm(module: ModuleBuilder, tile: Tile): void {
  for (const layout of ["rows", "packed"] as const) {
    addMacroKernel(module, tile, layout, addMicroKernel(module, tile, layout));
  }
  const params = parameters("i32", "c", "ldc", "from", "ldFrom", "rows", "cols");
  module.func("addBlock", params, (k, { c, ldc, from, ldFrom, rows, cols }) => {
    k.for(0, rows, 1, () => {
      k.vectors(cols, (v) => v.store(c, v.load(c).add(v.load(from))));
      c.set(c.add(ldc));
      from.set(from.add(ldFrom));
    });
  });
}

function addMicroKernel(module: ModuleBuilder, tile: Tile, layout: Layout): FuncRef {
  const params = parameters(
    "i32",
    ...["a", "lda", "rows", "b", "c", "ldc", "table", "end", "scratch", "stack", "mode"] as const,
  );
  return module.func(`_treeMicro_${layout}`, params, (k, args) => {
    const { a, lda, rows, b, c, ldc, table, end, scratch, stack, mode } = args;
    const cRows = rowsOfC(k, { c, ldc, rows, scratch, tile });
    const acc = cRows.map(() => range(tile.vectors, () => k.v128()));
    k.if(
      mode.eq(TREE_MODES.chain),
      () => eachVector(acc, (sum, i, j) => sum.set(load.v128(cRows[i], { offset: 16 * j }))),
    );
    const aRows = layout === "rows" ? rowsOfA(k, a, lda, rows, tile) : [];
    k.while(table.ltU(end), () => {
      for (const row of aRows) row.set(row.add(load.i32(table)));
      emitChain(k, { tile, a, aRows, b, acc, kc: k.i32(load.i32(table, { offset: 4 })) });
      const merges = k.i32(load.i32(table, { offset: 8 }));
      table.set(table.add(RUN_BYTES));
      k.if(merges.geS(0), () => fold(k, { tile, acc, stack, merges, isLast: table.eq(end) }));
    });
    k.if(mode.eq(TREE_MODES.add), () => {
      eachVector(acc, (sum, i, j) => sum.set(load.v128(cRows[i], { offset: 16 * j }).add(sum)));
    });
    acc.forEach((row, i) => storeVectors(k, cRows[i], row));
  });
}

interface FoldParts {
  readonly tile: Tile;
  readonly acc: readonly (readonly V128Local[])[];
  readonly stack: I32Local;
  readonly merges: I32Local;
  readonly isLast: I32;
}

/** Adds the latest partial tiles to that of a finished leaf, and puts it on the stack unless nothing follows. */
function fold(k: Kernel, { tile, acc, stack, merges, isLast }: FoldParts): void {
  const at = (i: number, j: number) => ({ offset: 16 * (i * tile.vectors + j) }),
    bytes = 16 * tile.rows * tile.vectors;
  k.while(merges, () => {
    stack.set(stack.sub(bytes));
    eachVector(acc, (sum, i, j) => sum.set(load.v128(stack, at(i, j)).add(sum)));
    merges.set(merges.sub(1));
  });
  k.if(isLast.eq(0), () => {
    acc.forEach((row, i) => storeVectors(k, stack, row, at(i, 0)));
    // No bound constant: it would take a register of the tile's loop.
    eachVector(acc, (sum) => sum.set(splat(0)));
    stack.set(stack.add(bytes));
  });
}

function eachVector(
  acc: readonly (readonly V128Local[])[],
  visit: (sum: V128Local, i: number, j: number) => void,
): void {
  acc.forEach((row, i) => row.forEach((sum, j) => visit(sum, i, j)));
}

/** As that of `gemm.ts`; what is not there of tiles at the edge of C goes to two tiles at `stack`. */
function addMacroKernel(module: ModuleBuilder, tile: Tile, layout: Layout, micro: FuncRef): void {
  const NR = 4 * tile.vectors, MR = tile.rows, tileBytes = 4 * NR * MR;
  const params = parameters(
    "i32",
    ...["a", "lda", "b", "c", "ldc", "mc", "nc", "table", "end", "depth", "stack", "mode"] as const,
  );
  module.func(layout === "rows" ? "treeRows" : "treePacked", params, (k, args) => {
    const { a, lda, b, c, ldc, mc, nc, table, end, depth, stack, mode } = args;
    const panelBytes = k.i32(depth.mul(4 * NR)), whole = k.i32(stack.add(tileBytes));
    const partial = k.i32(stack.add(2 * tileBytes));
    k.for(0, nc, NR, (j) => {
      const aStrip = k.i32(a), cTile = k.i32(c.add(j.shl(2))), cols = k.i32(nc.sub(j).minU(NR));
      k.for(0, mc, MR, (i) => {
        const rows = k.i32(mc.sub(i).minU(MR));
        const run = (to: I32, ld: I32) =>
          k.call(micro, [aStrip, lda, rows, b, to, ld, table, end, stack, partial, mode]);
        k.if(cols.eq(NR), () => run(cTile, ldc), () => {
          copyTile(k, { from: cTile, ldFrom: ldc, to: whole, ldTo: int(4 * NR), rows, cols });
          run(whole, int(4 * NR));
          copyTile(k, { from: whole, ldFrom: int(4 * NR), to: cTile, ldTo: ldc, rows, cols });
        });
        aStrip.set(aStrip.add(layout === "rows" ? lda.mul(MR) : depth.mul(4 * MR)));
        cTile.set(cTile.add(ldc.mul(MR)));
      });
      b.set(b.add(panelBytes));
    });
  });
}
