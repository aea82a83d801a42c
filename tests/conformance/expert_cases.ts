import { assertEquals, assertThrows } from "@std/assert";
import type { Span } from "../../kernels/mod.ts";
import { type BackendPair, chain, EPS, noise } from "./backend_pair.ts";

/** Units, tokens of a unit, experts, choices, capacity. */
const SIZES = [
  [1, 1, 1, 1, 1],
  [0, 4, 3, 2, 2],
  [2, 5, 4, 1, 2],
  [3, 4, 4, 2, 3],
  [2, 16, 8, 2, 4],
  [1, 7, 5, 5, 7],
  [2, 6, 3, 2, 1],
];

/** Weights of choices are shares in their sum, are not, or are where there are several. */
const SHARES = [true, false, undefined];

/** Rows of probabilities of which many are equal. */
function probabilities(tokens: number, experts: number): Float32Array {
  const rows = noise(tokens * experts, 3).map((x) => Math.ceil(3 * Math.abs(x)));
  for (let t = 0; t < tokens; t++) {
    const row = rows.subarray(t * experts, (t + 1) * experts), total = row.reduce((a, b) => a + b, 0);
    row.forEach((value, i) => row[i] = value / total);
  }
  return rows;
}

/** Spans of a plan, filled with numbers that it must replace. */
function plan(pair: BackendPair, [units, unitTokens, experts, choices, capacity]: number[]) {
  const tokens = units * unitTokens, numSlots = experts * units * capacity;
  const ids = (n: number) => pair.ids(Array(n).fill(77));
  return {
    ...{ units, unitTokens, experts, choices, capacity },
    probabilities: pair.tensor(probabilities(tokens, experts)),
    mask: pair.tensor(new Float32Array(experts)),
    ...{ chosen: ids(tokens * choices), slots: ids(tokens * choices) },
    ...{ slotTokens: ids(numSlots), wanted: ids(units * experts) },
    weights: pair.tensor(noise(tokens * choices)),
    slotWeights: pair.tensor(noise(numSlots)),
    losses: pair.tensor(noise(units)),
    lossFactor: 0.125,
  };
}

/** What an operation leaves in spans of integers, with a backend. */
function integers(pair: BackendPair, spans: readonly Span[]): number[][] {
  return spans.map((span) => [...pair.heap.i32(span)]);
}

/** Operations of a mixture of experts, on any backend. */
export const EXPERT_CASES: Record<string, (pair: BackendPair) => void> = {
  "route() of all sizes"(pair) {
    for (const [sizes, sharesWeights] of SIZES.flatMap((sizes) => SHARES.map((x) => [sizes, x] as const))) {
      const args = { ...plan(pair, sizes), sharesWeights }, plans: number[][][] = [];
      const bound = EPS * (sizes[3] + 3);
      pair.compare(
        `${sizes}`,
        [[args.weights, bound], [args.slotWeights, bound], [args.losses, EPS * 4 * sizes[1] ** 2]],
        (backend) => {
          backend.route(args);
          plans.push(integers(pair, [args.chosen, args.slots, args.slotTokens, args.wanted]));
        },
      );
      assertEquals(plans[0], plans[1], `${sizes}`);
    }
  },

  "route() leaves out dead experts, also where no live one is likely"(pair) {
    const args = plan(pair, [1, 2, 4, 2, 2]);
    pair.heap.f32(args.probabilities).set([0, 0, 1, 0, 0.25, 0.25, 0.25, 0.25]);
    pair.heap.f32(args.mask).set([-Infinity, 0, 0, -Infinity]);
    pair.candidate.route(args);
    assertEquals([...pair.heap.i32(args.chosen)], [2, 1, 1, 2]);
    assertEquals([...pair.heap.i32(args.wanted)], [0, 2, 2, 0]);
    assertEquals([...pair.heap.f32(args.weights)], [1, 0, 0.5, 0.5]);
  },

  "route() gives slots in the order of tokens and drops who comes late"(pair) {
    const args = plan(pair, [2, 3, 2, 1, 2]);
    pair.heap.f32(args.probabilities).set([0.75, 0.25, 0.5, 0.5, 1, 0, 0.25, 0.75, 0.5, 0.5, 0.75, 0.25]);
    pair.candidate.route(args);
    assertEquals([...pair.heap.i32(args.slots)], [0, 1, -1, 6, 2, 3]);
    assertEquals([...pair.heap.i32(args.slotTokens)], [0, 1, 4, 5, -1, -1, 3, -1]);
    assertEquals([...pair.heap.f32(args.slotWeights)], [0.75, 0.5, 0.5, 0.75, 0, 0, 0.75, 0]);
    assertEquals([...pair.heap.i32(args.wanted)], [3, 0, 2, 1]);
    assertEquals([...pair.heap.f32(args.losses)], [0.125 * 3 * 2.25, 0.125 * (2 * 1.5 + 1.5)]);
  },

  "route() weighs a choice by its probability, or by its share in those that are chosen"(pair) {
    const args = plan(pair, [1, 1, 4, 2, 1]);
    pair.heap.f32(args.probabilities).set([0.5, 0.25, 0.125, 0.125]);
    pair.candidate.route({ ...args, sharesWeights: false });
    assertEquals([...pair.heap.f32(args.weights)], [0.5, 0.25]);
    pair.candidate.route({ ...args, sharesWeights: true });
    assertEquals([...pair.heap.f32(args.weights)].map((x) => x.toFixed(6)), ["0.666667", "0.333333"]);
  },

  "route() picks live experts for a row that is not a number"(pair) {
    const args = plan(pair, [1, 1, 4, 2, 1]);
    pair.heap.f32(args.probabilities).fill(NaN);
    pair.heap.f32(args.mask).set([-Infinity, 0, 0, 0]);
    pair.candidate.route(args);
    assertEquals([...pair.heap.i32(args.chosen)], [1, 2]);
    assertEquals([...pair.heap.i32(args.slots)], [1, 2]);
  },

  "routeBackward() of all sizes"(pair) {
    for (const [sizes, sharesWeights] of SIZES.flatMap((sizes) => SHARES.map((x) => [sizes, x] as const))) {
      const args = { ...plan(pair, sizes), sharesWeights }, tokens = sizes[0] * sizes[1];
      pair.candidate.route(args);
      const dWeights = pair.tensor(noise(tokens * sizes[3], 5));
      const dProbabilities = pair.tensor(noise(tokens * sizes[2], 6));
      // A chosen probability is at least 1 / (3 experts), so what is divided by it grows to that.
      const bound = EPS * 8 * (sizes[3] + 4) * 3 * sizes[2] + EPS * 8 * sizes[1];
      const gradient = { ...args, dWeights, dProbabilities };
      pair.compare(`${sizes}`, [[dProbabilities, bound]], (b) => b.routeBackward(gradient));
    }
  },

  "combineRows() of all shapes, with and without weights"(pair) {
    for (const cols of [0, 1, 3, 4, 8, 33]) {
      for (const count of [1, 2]) {
        const rows = 4, ids = pair.ids([3, -1, 0, 5, -7, 2, 2, -1].slice(0, rows * count));
        const table = pair.tensor(noise(6 * cols)), out = pair.tensor(noise(rows * cols, 2));
        const weights = pair.tensor(noise(rows * count, 4)), args = { rows, cols, count, ids, table, out };
        for (const accumulate of [false, true]) {
          const what = `${cols} ${count} ${accumulate}`, exact = count === 1 ? 0 : 3 * EPS;
          pair.compare(what, [[out, exact]], (b) => b.combineRows({ ...args, accumulate }));
          const weigh = { ...args, weights, accumulate };
          pair.compare(`${what} weights`, [[out, 4 * EPS * count]], (b) => b.combineRows(weigh));
        }
      }
    }
  },

  "choiceDots() of all shapes"(pair) {
    for (const cols of [0, 1, 3, 4, 8, 33]) {
      const rows = 3, count = 2, ids = pair.ids([3, -1, 0, 5, 2, 2]);
      const x = pair.tensor(noise(rows * cols)), table = pair.tensor(noise(6 * cols, 2));
      const out = pair.tensor(noise(rows * count, 3)), bound = EPS * (chain(cols) + 2) * cols;
      pair.compare(`${cols}`, [[out, bound]], (b) => b.choiceDots({ rows, cols, count, ids, x, table, out }));
    }
  },

  "expert operations refuse rows and experts that do not exist"(pair) {
    const out = pair.tensor(noise(6)), table = pair.tensor(noise(9)), ids = pair.ids([1, 3]);
    const combine = { rows: 2, cols: 3, count: 1, ids, table, out };
    const text = "id 3 at row 1 is not below 3";
    assertThrows(() => pair.candidate.combineRows(combine), RangeError, text);
    const dots = { ...combine, x: out, out: pair.tensor([0, 0]) };
    assertThrows(() => pair.candidate.choiceDots(dots), RangeError, text);
    const args = plan(pair, [1, 2, 3, 1, 1]);
    pair.heap.i32(args.chosen).set([0, 3]);
    const gradient = { ...args, dWeights: pair.tensor([0, 0]), dProbabilities: out };
    assertThrows(() => pair.candidate.routeBackward(gradient), RangeError, text);
    assertThrows(
      () => pair.candidate.route({ ...args, choices: 4 }),
      RangeError,
      "4 choices among 3 experts",
    );
  },
};
