import { assertEquals, assertThrows } from "@std/assert";
import { bisectionTree, LAYER_NORM_BACKWARD, rowTree, type SumTree, unitTree } from "../../kernels/mod.ts";
import { type BackendPair, EPS, noise } from "./backend_pair.ts";

/** Trees over rows: of pairs of units, of single rows, of no rows, and with leaves that are empty. */
const TREES: readonly SumTree[] = [
  rowTree({ sequences: 3, units: 8, unitRows: 2 }),
  rowTree({ sequences: 2, units: 1, unitRows: 5 }),
  unitTree({ sequences: 5, units: 4 }),
  bisectionTree([[{ start: 0, length: 1 }]]),
  bisectionTree([]),
  bisectionTree([[{ start: 3, length: 0 }], [{ start: 2, length: 2 }], [], [{ start: 0, length: 1 }]]),
];

/** Sums whose order is that of a tree, on any backend. */
export const TREE_CASES: Record<string, (pair: BackendPair) => void> = {
  "foldRows() adds in the order of the tree"(pair) {
    for (const tree of TREES) {
      for (const cols of [1, 3, 8, 33]) {
        const x = pair.tensor(noise(48 * cols)), out = pair.tensor(noise(cols, 2)), b = pair.candidate;
        const values = pair.values(x);
        pair.compare(`${tree.leaves.length} leaves of ${cols}`, [[out, 0]], (b) => {
          pair.heap.f32(x).set(values);
          b.foldRows({ cols, x, out, tree });
        });
        assertEquals(b.heap.f32(x).subarray(40 * cols + cols), values.subarray(40 * cols + cols));
      }
    }
  },

  "foldRows() of halves of a batch, added, has the bits of the whole"(pair) {
    const cols = 7, half = rowTree({ sequences: 3, units: 4, unitRows: 2 }), b = pair.candidate;
    const values = noise(48 * cols),
      [whole, left, right] = [0, 0, 0].map(() => pair.tensor(noise(cols).fill(0)));
    const sum = (sequences: number, part: Float32Array, out: typeof whole) =>
      b.foldRows({ cols, x: pair.tensor(part), out, tree: rowTree({ sequences, units: 4, unitRows: 2 }) });
    sum(6, values, whole);
    sum(3, values.subarray(0, 24 * cols), left);
    sum(3, values.subarray(24 * cols), right);
    b.binary({ op: "add", a: left, b: right, out: left });
    assertEquals(half.leaves.length, 6);
    assertEquals(pair.values(left), pair.values(whole));
  },

  "scatterAdd() by a tree has the bits of the oracle, for few and many rows of an id"(pair) {
    for (const tree of TREES) {
      for (const [cols, numIds] of [[1, 2], [7, 5], [33, 40], [128, 1]]) {
        const rows = 48, x = pair.tensor(noise(rows * cols)), table = pair.tensor(noise(numIds * cols, 2));
        for (const seed of [3, 4]) {
          const ids = pair.ids(noise(rows, seed).map((v) => Math.floor((v + 0.9) / 1.9 * numIds)));
          const args = { rows, cols, ids, x, table, tree }, values = pair.values(x);
          pair.compare(`${tree.leaves.length} leaves of ${cols}`, [[table, 0]], (b) => b.scatterAdd(args));
          assertEquals(pair.values(x), values);
        }
      }
    }
  },

  "scatterAdd() by a tree has the bits of devices that hold subtrees, also if one lacks an id"(pair) {
    const sequences = 8, units = 4, unitRows = 3, rows = sequences * units * unitRows, cols = 5, numIds = 9;
    const values = noise(rows * cols), b = pair.candidate;
    for (const seed of [1, 2, 3]) {
      const ids = Int32Array.from(
        noise(rows, seed),
        (v, r) => r % 11 === 0 ? -1 : Math.floor((v + 1) / 2 * numIds),
      );
      // One id that only the second half of the rows has, and one that one row has.
      ids.subarray(0, rows / 2).forEach((id, r, all) => all[r] = id >= 7 ? -1 : id);
      ids.forEach((id, r) => ids[r] = id === 6 ? 0 : id);
      ids[5] = 6;
      const tableOf = (part: number, parts: number) => {
        const length = rows / parts,
          start = part * length,
          table = pair.tensor(new Float32Array(numIds * cols));
        const x = pair.tensor(values.subarray(start * cols, (start + length) * cols));
        const tree = rowTree({ sequences: sequences / parts, units, unitRows });
        const own = pair.ids(ids.subarray(start, start + length));
        b.scatterAdd({ rows: length, cols, ids: own, x, table, tree });
        return pair.values(table);
      };
      const merged = (part: number, parts: number, level: number): Float32Array => {
        if (level === 1) return tableOf(part, parts);
        const right = merged(2 * part + 1, parts, level / 2);
        return merged(2 * part, parts, level / 2).map((value, i) => value + right[i]);
      };
      const whole = tableOf(0, 1);
      for (const parts of [2, 4]) assertEquals(merged(0, parts, parts), whole, `${parts} devices`);
    }
  },

  "scatterAdd() leaves out rows that its tree does not name, and refuses others"(pair) {
    const x = pair.tensor([1, 2, 3]), table = pair.tensor([0, 0]), ids = pair.ids([1, 1, 1]);
    const tree = bisectionTree([[{ start: 2, length: 1 }], [{ start: 0, length: 1 }]]);
    pair.candidate.scatterAdd({ rows: 3, cols: 1, ids, x, table, tree });
    assertEquals([...pair.values(table)], [0, 4]);
    const short = () => pair.candidate.scatterAdd({ rows: 2, cols: 1, ids, x, table, tree });
    assertThrows(short, RangeError, "Cannot run scatterAdd: its tree names row 2 of 2");
  },

  "what is no tree over the rows is refused"(pair) {
    const x = pair.tensor(noise(6)), out = pair.tensor(noise(2));
    const fold = (tree: SumTree) => () => pair.candidate.foldRows({ cols: 2, x, out, tree });
    const leaf = (start: number) => [{ start, length: 2 }];
    assertThrows(fold(bisectionTree([leaf(2)])), RangeError, "x needs 8 elements, its span has 6");
    assertThrows(fold(bisectionTree([leaf(0), leaf(1)])), RangeError, "names term 1 twice");
    for (const merges of [[0], [0, 0], [1, 1], [0, 1, 0], [0, 2]]) {
      assertThrows(fold({ leaves: [[], leaf(0)], merges }), RangeError, `they are ${merges}`);
    }
  },

  "sumRows() and layerNormBackward() of units have the bits of calls for each unit"(pair) {
    const units = 3, unitRows = 4, rows = units * unitRows;
    for (const cols of [1, 6, 33]) {
      const tensor = (seed: number, length = rows * cols) => pair.tensor(noise(length, seed));
      const x = tensor(1),
        dOut = tensor(2),
        gamma = tensor(3, cols),
        mean = tensor(4, rows),
        rstd = tensor(5, rows);
      const sums = tensor(6, units * cols), dGamma = tensor(7, units * cols), dBeta = tensor(8, units * cols);
      const dX = tensor(9), before = pair.values(dX), b = pair.candidate;
      b.sumRows({ rows, cols, x, out: sums, units });
      b.row(LAYER_NORM_BACKWARD, { rows, cols, x, gamma, mean, rstd, dOut, dX, dGamma, dBeta, units });
      const part = (from: typeof x, unit: number, length: number) =>
        pair.tensor(pair.values(from).subarray(unit * length, (unit + 1) * length));
      for (let unit = 0; unit < units; unit++) {
        const zero = () => pair.tensor(noise(cols).fill(0)), size = unitRows * cols;
        const own = { rows: unitRows, cols, x: part(x, unit, size) },
          out = pair.tensor(before.subarray(0, size));
        const norm = { gamma, mean: part(mean, unit, unitRows), rstd: part(rstd, unit, unitRows) };
        const gains = zero(), shifts = zero(), total = tensor(10, cols);
        b.sumRows({ ...own, out: total });
        const gradients = { dOut: part(dOut, unit, size), dX: out, dGamma: gains, dBeta: shifts };
        b.row(LAYER_NORM_BACKWARD, { ...own, ...norm, ...gradients });
        const pairs = [[sums, total], [dGamma, gains], [dBeta, shifts], [dX, out]];
        for (const [all, one] of pairs) {
          const length = one.length;
          assertEquals(pair.values(part(all, unit, length)), pair.values(one));
        }
      }
    }
  },

  "units are those of the oracle, also with sumRows() onto something"(pair) {
    const rows = 6,
      cols = 9,
      units = 2,
      x = pair.tensor(noise(rows * cols)),
      out = pair.tensor(noise(units * cols));
    for (const accumulate of [false, true]) {
      const bound = EPS * rows * rows;
      pair.compare("sums", [[out, bound]], (b) => b.sumRows({ rows, cols, x, out, units, accumulate }));
    }
    const row = pair.tensor(noise(rows)),
      gamma = pair.tensor(noise(cols)),
      dX = pair.tensor(noise(rows * cols));
    const dGamma = pair.tensor(noise(units * cols)), dBeta = pair.tensor(noise(units * cols));
    const args = { rows, cols, units, x, gamma, mean: row, rstd: row, dOut: x, dX, dGamma, dBeta };
    const bound = EPS * rows * 16;
    pair.compare("norm", [[dGamma, bound], [dBeta, bound]], (b) => b.row(LAYER_NORM_BACKWARD, args));
  },

  "units that cannot be equal are refused"(pair) {
    const x = pair.tensor(noise(6)), out = pair.tensor(noise(4));
    const sum = (units: number) => () => pair.candidate.sumRows({ rows: 3, cols: 2, x, out, units });
    assertThrows(sum(2), RangeError, "Cannot run sumRows: 3 rows are not 2 equal units");
    assertThrows(sum(0), RangeError, "3 rows are not 0 equal units");
    assertThrows(sum(3), RangeError, "out needs 6 elements");
  },
};
