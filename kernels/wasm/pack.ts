/**
 * Packing for matrix multiplication: operands are copied into the order in which the micro-kernel reads them.
 */
import { type Kernel, type ModuleBuilder, parameters } from "./builder.ts";
import { load } from "./loads.ts";
import { type I32, type I32Local, type V128 } from "./values.ts";

/**
 * Adds to a module:
 * - `packRows(from, ld, to, kc, nc, gap)`: B stored [k][n] into panels, `packColumns`: B stored [n][k] into panels; `gap`
 *   bytes behind each panel are left for other k,
 * - `packStrips(from, ld, to, kc, mc, gap)`: A stored [k][m] into strips of MR rows, `packStripRows`: A stored [m][k].
 *
 * Addresses, leading dimensions and gaps are in bytes, sizes in elements.
 */
export function addPacking(
  module: ModuleBuilder,
  { rows, columns }: { rows: number; columns: number },
): void {
  addPackRows(module, "packRows", columns);
  addPackRows(module, "packStrips", rows);
  addPackColumns(module, "packColumns", columns);
  addPackColumns(module, "packStripRows", rows);
}

const PACK_PARAMS = parameters("i32", "from", "ld", "to", "kc", "nc", "gap");

/** Panels that are packed together: a row is read in longer runs, its pages and lines are met less often. */
const PANELS_AT_ONCE = 4;

/** Rows of `nc` elements into panels of `width`: panel p holds kc rows of its columns, zeros behind nc. */
function addPackRows(module: ModuleBuilder, name: string, width: number): void {
  const bytes = 4 * width, many = PANELS_AT_ONCE * width;
  module.func(name, PACK_PARAMS, (k, { from, ld, to, kc, nc, gap }) => {
    const panelBytes = k.i32(kc.mul(bytes).add(gap)), left = k.i32(nc);
    const pack = (count: number, copyRow: (source: I32Local, targets: readonly I32Local[]) => void) => {
      const source = k.i32(from), targets = pointers(k, to, panelBytes, count);
      k.for(0, kc, 1, () => {
        copyRow(source, targets);
        source.set(source.add(ld));
        for (const target of targets) target.set(target.add(bytes));
      });
      from.set(from.add(bytes * count));
      to.set(to.add(panelBytes.mul(count)));
      left.set(left.sub(width * count));
    };
    const whole = (source: I32Local, targets: readonly I32Local[]) =>
      targets.forEach((target, i) => copyRun(k, { source, target, shift: bytes * i, length: width }));
    k.while(left.geS(many), () => pack(PANELS_AT_ONCE, whole));
    k.while(left.geS(width), () => pack(1, whole));
    k.if(left.gtS(0), () => {
      k.zero(to, kc.mul(bytes));
      pack(1, (source, [target]) => k.copy(target, source, left.shl(2)));
    });
  });
}

/** Copies `length` elements that lie `shift` bytes behind the source. */
function copyRun(
  k: Kernel,
  { source, target, shift, length }: { source: I32; target: I32; shift: number; length: number },
): void {
  // The last one first: see `storeVectors`.
  for (let v = (length >> 2) - 1; v >= 0; v--) {
    k.storeV128(target, load.v128(source, { offset: shift + 16 * v }), { offset: 16 * v });
  }
  const rest = length & 3, offset = 4 * (length - rest);
  if (rest > 0) k.storeLanes(target, load.v128(source, { offset: shift + offset }), rest, { offset });
}

/** The same out of columns: panel p holds elements of `width` of them; blocks are transposed in registers. */
function addPackColumns(module: ModuleBuilder, name: string, width: number): void {
  module.func(name, PACK_PARAMS, (k, { from, ld, to, kc, nc, gap }) => {
    const bytes = 4 * width;
    k.for(0, nc, width, (j) => {
      const cols = k.i32(nc.sub(j).minU(width));
      k.if(cols.ltS(width), () => k.zero(to, kc.mul(bytes)));
      const source = k.i32(from.add(j.mul(ld))), target = k.i32(to);
      const pack = (count: 1 | 2 | 4) => {
        packSome(k, pointers(k, source, ld, count), k.i32(target), k.i32(kc), bytes);
        source.set(source.add(ld.mul(count)));
        target.set(target.add(4 * count));
      };
      k.for(0, cols.shrU(2), 1, () => pack(4));
      k.if(cols.and(2), () => pack(2));
      k.if(cols.and(1), () => pack(1));
      to.set(to.add(kc.mul(bytes)).add(gap));
    });
  });
}

/** Packs `left` elements of each of one, two or four columns. */
function packSome(k: Kernel, columns: I32Local[], target: I32Local, left: I32Local, bytes: number): void {
  k.while(left.geS(4), () => {
    rowsOfFour(k, columns.map((column) => k.let(load.v128(column)))).forEach((row, i) => {
      const place = { offset: bytes * i };
      if (columns.length === 4) k.storeV128(target, row, place);
      else k.storeLanes(target, row, columns.length, place);
    });
    for (const column of columns) column.set(column.add(16));
    target.set(target.add(4 * bytes));
    left.set(left.sub(4));
  });
  k.while(left, () => {
    columns.forEach((column, i) => k.storeF32(target, load.f32(column), { offset: 4 * i }));
    for (const column of columns) column.set(column.add(4));
    target.set(target.add(bytes));
    left.set(left.sub(1));
  });
}

/** Four rows of which one, two or four columns are given, in their first lanes. */
function rowsOfFour(k: Kernel, columns: readonly V128[]): V128[] {
  const [a, b] = columns;
  if (columns.length === 4) return transpose4(k, columns);
  if (columns.length === 1) return range(4, (i) => a.shuffle(a, [i, i, i, i]));
  const low = k.let(a.shuffle(b, [0, 4, 1, 5])), high = k.let(a.shuffle(b, [2, 6, 3, 7]));
  return [low, low.shuffle(low, [2, 3, 2, 3]), high, high.shuffle(high, [2, 3, 2, 3])];
}

/** The columns of a 4 x 4 block given by its rows. */
function transpose4(k: Kernel, rows: readonly V128[]): V128[] {
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
