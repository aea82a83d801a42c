/**
 * Products of a row with a matrix that is not packed: for a few rows, packing costs more than it gains.
 */
import { type FuncRef, type ModuleBuilder, parameters } from "./builder.ts";
import { load } from "./loads.ts";
import { pointers, range } from "./pack.ts";
import type { V128 } from "./values.ts";
import { storeVectors } from "./walk.ts";

/** k steps per turn of the loop over rows. */
const UNROLL = 4;
/** Columns whose sums fit the registers. */
const NARROW_COLUMNS = 64;

/**
 * Adds to a module `addRowProduct(a, b, ldb, c, n, kc)`: C += A B for one row of A and B stored [k][n], and
 * `addNarrowProduct(...)`, the same for few columns.
 *
 * All addresses and leading dimensions are in bytes, all sizes in elements.
 */
export function addRowProducts(module: ModuleBuilder): void {
  addNarrowProduct(module, addRowProduct(module));
}

function addRowProduct(module: ModuleBuilder): FuncRef {
  return module.func("addRowProduct", parameters("i32", "a", "b", "ldb", "c", "n", "kc"), (k, args) => {
    const { a, b, ldb, c, n, kc } = args;
    const turn = (count: number) => {
      const factors = range(count, (u) => k.let(load.splat(a, { offset: 4 * u })));
      const rows = pointers(k, b, ldb, count);
      k.vectors(n, (v) => {
        v.store(c, rows.reduce<V128>((sum, row, u) => factors[u].madd(v.load(row), sum), v.load(c)));
      });
      a.set(a.add(4 * count));
      b.set(rows[count - 1].add(ldb));
      kc.set(kc.sub(count));
    };
    k.while(kc.geS(UNROLL), () => turn(UNROLL));
    k.while(kc, () => turn(1));
  });
}

/** Each sum stays in a register; rows of B are read in pieces. */
function addNarrowProduct(module: ModuleBuilder, rest: FuncRef): void {
  module.func("addNarrowProduct", parameters("i32", "a", "b", "ldb", "c", "n", "kc"), (k, args) => {
    const { a, b, ldb, c, n, kc } = args;
    k.while(n.geS(NARROW_COLUMNS), () => {
      const sums = range(NARROW_COLUMNS / 4, (j) => k.let(load.v128(c, { offset: 16 * j })));
      const factor = k.i32(a), row = k.i32(b), left = k.i32(kc);
      k.while(left, () => {
        const value = k.let(load.splat(factor));
        const terms = sums.map((_, j) => k.let(load.v128(row, { offset: 16 * j })));
        sums.forEach((sum, j) => sum.set(value.madd(terms[j], sum)));
        factor.set(factor.add(4));
        row.set(row.add(ldb));
        left.set(left.sub(1));
      });
      storeVectors(k, c, sums);
      b.set(b.add(4 * NARROW_COLUMNS));
      c.set(c.add(4 * NARROW_COLUMNS));
      n.set(n.sub(NARROW_COLUMNS));
    });
    k.if(n, () => k.call(rest, [a, b, ldb, c, n, kc]));
  });
}
