import { type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import type { I32Local, V128 } from "./values.ts";

/** Rows that are added to the sums while those are in registers; a chain, so the number changes no bits. */
const ROWS_PER_TURN = 4;

/**
 * Adds to a module: `sumUnits(x, out, units, rows, cols)`, which overwrites `out` [units, cols] by the sums of each
 * `rows` rows, with the bits of `sumRows` onto 0.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addSumUnits(module: ModuleBuilder): void {
  const params = parameters("i32", "x", "out", "units", "rows", "cols");
  module.func("sumUnits", params, (k, { x, out, units, rows, cols }) => {
    const rowBytes = k.i32(cols.shl(2)), zero = k.constant(0), left = k.i32(0);
    const turn = (count: number, isFirst: boolean) => {
      const sources: I32Local[] = [x];
      while (sources.length < count) sources.push(k.i32(sources.at(-1)!.add(rowBytes)));
      k.vectors(cols, (v) => {
        const start = isFirst ? zero : v.load(out);
        v.store(out, sources.reduce<V128>((sum, row) => sum.add(v.load(row)), start));
      });
      x.set(sources.at(-1)!.add(rowBytes));
      left.set(left.sub(count));
    };
    eachRow(k, units, [[out, rowBytes]], () => {
      left.set(rows);
      k.if(left.geS(ROWS_PER_TURN), () => turn(ROWS_PER_TURN, true), () => k.zero(out, rowBytes));
      k.while(left.geS(ROWS_PER_TURN), () => turn(ROWS_PER_TURN, false));
      k.while(left, () => turn(1, false));
    });
  });
}
