import { assertEquals, assertThrows } from "@std/assert";
import { type Span, type SpreadCrossEntropyArgs, subspan } from "../../kernels/mod.ts";
import { type BackendPair, type Bound, chain, EPS, noise, ulp } from "./backend_pair.ts";

const SHAPES = [[0, 5], [1, 1], [2, 3], [5, 7], [4, 8], [17, 33], [3, 257]];

/** Relative error of e^(x - max) for distances up to `spread`: the rounding of the distance, and 2 eps of exp. */
function powerError(spread: number): number {
  return EPS * (spread + 3);
}

/** The parts of a cross-entropy whose classes lie on several devices, on any backend. */
export const SPREAD_LOSS_CASES: Record<string, (pair: BackendPair) => void> = {
  "rowMax() has the largest element, without NaN, and -Infinity of nothing"(pair) {
    for (const [rows, cols] of [...SHAPES, [3, 0]]) {
      const values = noise(rows * cols).map((x, i) => i % 5 === 4 ? NaN : x);
      const x = pair.tensor(values), out = pair.tensor(noise(rows));
      pair.compare(`${rows}x${cols}`, [[out, 0]], (b) => b.rowMax({ rows, cols, x, out }));
    }
  },

  "rowExpSum() of all shapes, with and without its terms"(pair) {
    for (const [rows, cols] of [...SHAPES, [3, 0]]) {
      for (const spread of [1, 30]) {
        const values = noise(rows * cols).map((x) => spread * x);
        const x = pair.tensor(values), powers = pair.tensor(values), sums = pair.tensor(noise(rows));
        // The largest of the whole row, which may lie on another device.
        const max = pair.tensor(noise(rows, 2).map((v) => spread * (1.5 + v)));
        const boundPower: Bound = (_, want) => powerError(4 * spread) * want + 2 ** -148;
        const boundSum: Bound = (_, want) => (powerError(4 * spread) + EPS * chain(cols)) * want + 2 ** -140;
        const args = { rows, cols, x, max, sums };
        pair.compare("sums", [[sums, boundSum]], (b) => b.rowExpSum(args));
        const both: [Span, Bound][] = [[sums, boundSum], [powers, boundPower]];
        pair.compare("both", both, (b) => b.rowExpSum({ ...args, powers }));
        pair.compare(
          "in place",
          [[sums, boundSum], [x, boundPower]],
          (b) => b.rowExpSum({ ...args, powers: x }),
        );
      }
    }
  },

  "rowExpSum() of chunks has the bits of devices that hold some of them"(pair) {
    const rows = 3, size = 11, max = pair.tensor(noise(rows, 2).map((v) => v + 2)), b = pair.candidate;
    const values = [0, 1, 2, 3].map((chunk) => noise(rows * size, 3 + chunk));
    /** Columns of some of the chunks, row by row. */
    const join = (chunks: Float32Array[]) => {
      const width = chunks.length * size;
      return pair.tensor(Array.from({ length: rows * width }, (_, i) => {
        const r = Math.floor(i / width), c = i % width;
        return chunks[Math.floor(c / size)][r * size + c % size];
      }));
    };
    const sumsOf = (chunks: Float32Array[]) => {
      const x = join(chunks), sums = pair.tensor(noise(rows)), only = pair.tensor(noise(rows));
      const args = { rows, cols: chunks.length * size, x, max, chunks: chunks.length };
      b.rowExpSum({ ...args, sums: only });
      b.rowExpSum({ ...args, sums, powers: x });
      assertEquals(pair.values(only), pair.values(sums));
      return { sums: pair.values(sums), powers: pair.values(x) };
    };
    const plus = (a: Float32Array, b: Float32Array) => a.map((v, i) => v + b[i]);
    const [a, c, d, e] = values.map((chunk) => sumsOf([chunk])), whole = sumsOf(values);
    const [left, right] = [sumsOf(values.slice(0, 2)), sumsOf(values.slice(2))];
    assertEquals([left.sums, right.sums], [plus(a.sums, c.sums), plus(d.sums, e.sums)]);
    assertEquals(whole.sums, plus(left.sums, right.sums));
    assertEquals(whole.powers, pair.values(join([a, c, d, e].map(({ powers }) => powers))));
    const bound: Bound = (_, want) => (powerError(6) + EPS * (chain(size) + 2)) * want;
    const x = join(values),
      sums = pair.tensor(noise(rows)),
      args = { rows, cols: 4 * size, x, max, sums, chunks: 4 };
    pair.compare("oracle", [[sums, bound]], (b) => b.rowExpSum(args));
  },

  "chunks of a row that cannot be equal are refused"(pair) {
    const x = pair.tensor(noise(12)), row = pair.tensor([0, 0]);
    for (const [cols, chunks] of [[5, 2], [6, 4], [6, 3], [6, 0], [6, -1]]) {
      const run = () => pair.candidate.rowExpSum({ rows: 2, cols, x, max: row, sums: row, chunks });
      assertThrows(run, RangeError, `${cols} columns are not 1, 2 or 4 equal chunks: they are ${chunks}`);
    }
  },

  "spreadCrossEntropy() of all shapes, with masked rows and targets elsewhere"(pair) {
    for (const [rows, cols] of SHAPES) {
      const powers = pair.tensor(noise(rows * cols).map(Math.abs)), losses = pair.tensor(noise(rows));
      const max = pair.tensor(noise(rows, 2)), chosen = pair.tensor(noise(rows, 3));
      const sums = pair.tensor(noise(rows, 4).map((v) => cols * (1.5 + v)));
      // Before, among and behind the classes 10 .. 10 + cols of this device, and masked.
      const targets = pair.ids(
        Array.from({ length: rows }, (_, r) => [9, 10 + r % cols, 10 + cols, -1, -100][r % 5]),
      );
      const args = { rows, cols, firstClass: 10, targets, max, sums, chosen, losses, scale: 0.25 };
      const boundLoss: Bound = (_, want) => 2 * ulp(want) + 8 * EPS * Math.log(2.5 * cols + 2) + 4 * EPS;
      pair.compare("losses", [[losses, boundLoss]], (b) => b.spreadCrossEntropy(args));
      const withGradient = { ...args, powers };
      pair.compare(
        "both",
        [[losses, boundLoss], [powers, 4 * EPS]],
        (b) => b.spreadCrossEntropy(withGradient),
      );
    }
  },

  "the parts on one device have the bits of crossEntropy()"(pair) {
    for (const [rows, cols] of SHAPES) {
      const values = noise(rows * cols).map((x) => 5 * x), backend = pair.candidate, scale = 0.25;
      const logits = pair.tensor(values), whole = pair.tensor(values), expected = pair.tensor(noise(rows));
      const losses = pair.tensor(noise(rows)),
        max = pair.tensor(noise(rows)),
        sums = pair.tensor(noise(rows));
      const classes = Array.from({ length: rows }, (_, r) => r % 3 === 2 ? -1 : (r * 7) % cols);
      const targets = pair.ids(classes);
      const chosen = pair.tensor(classes.map((c, r) => c < 0 ? -0 : values[r * cols + c]));
      backend.crossEntropy({ rows, cols, logits: whole, targets, losses: expected, dLogits: whole, scale });
      backend.rowMax({ rows, cols, x: logits, out: max });
      backend.rowExpSum({ rows, cols, x: logits, max, sums, powers: logits });
      const end = { rows, cols, firstClass: 0, targets, max, sums, chosen, losses, powers: logits, scale };
      backend.spreadCrossEntropy(end);
      // The oracle rounds the parts to float32, which `crossEntropy` in one piece does not.
      if (backend.name === "reference") continue;
      assertEquals(pair.values(losses), pair.values(expected));
      assertEquals(pair.values(logits), pair.values(whole));
    }
  },

  "spans of a spread loss that are too short are refused"(pair) {
    const x = pair.tensor(noise(6)), row = pair.tensor([0, 0]), targets = pair.ids([0, 0]);
    const sizes = { rows: 2, cols: 3 }, short = subspan(row, 0, 1), b = pair.candidate;
    assertThrows(() => b.rowMax({ ...sizes, x, out: short }), RangeError, "rowMax: out needs 2");
    assertThrows(() => b.rowExpSum({ ...sizes, x, max: short, sums: row }), RangeError, "max needs 2");
    const rows = { targets, max: row, sums: row, chosen: row, losses: row };
    const args: SpreadCrossEntropyArgs = { ...sizes, ...rows, firstClass: 0, scale: 1 };
    assertThrows(() => b.spreadCrossEntropy({ ...args, chosen: short }), RangeError, "chosen needs 2");
    assertThrows(() => b.spreadCrossEntropy({ ...args, powers: row }), RangeError, "powers needs 6");
  },
};
