import { assertEquals } from "@std/assert";
import {
  checkChoiceDots,
  checkCombineRows,
  checkRoute,
  checkRouteBackward,
} from "../../../kernels/arguments/check_experts.ts";
import { DeviceHeap, type Span } from "../../../kernels/mod.ts";
import { refusesShortSpans, span } from "../support/short_spans.ts";

const heap = new DeviceHeap({ capBytes: 1 << 20 });
const allGood = (_: Span, n: number) => n;

Deno.test("checks of expert operations refuse every span that is one element too short", () => {
  const sizes = { units: 2, unitTokens: 3, experts: 4, choices: 2, capacity: 5, lossFactor: 1 };
  const [chosen, weights, slots, dWeights] = Array(4).fill(span(12));
  const [probabilities, dProbabilities, wanted, losses, mask] = [
    span(24),
    span(24),
    span(8),
    span(2),
    span(4),
  ];
  const [slotTokens, slotWeights] = Array(2).fill(span(40));
  const plan = {
    ...sizes,
    probabilities,
    mask,
    chosen,
    weights,
    slots,
    slotTokens,
    slotWeights,
    wanted,
    losses,
  };
  refusesShortSpans(plan, checkRoute);
  const gradient = { ...sizes, probabilities, chosen, weights, wanted, dWeights, dProbabilities };
  refusesShortSpans(gradient, (args) => checkRouteBackward(args, allGood, heap));
  const rows = { rows: 3, cols: 5, count: 2, ids: span(6) };
  const combine = { ...rows, weights: span(6), out: span(15) };
  refusesShortSpans(combine, (args) => checkCombineRows({ ...args, table: span(10) }, allGood, heap));
  const dots = { ...rows, x: span(15), out: span(6) };
  refusesShortSpans(dots, (args) => checkChoiceDots({ ...args, table: span(10) }, allGood, heap));
});

Deno.test("checks of expert operations ask for ids below the rows of the table, negative ones included", () => {
  const asked: number[][] = [];
  const find = (_: Span, ...limits: number[]) => (asked.push(limits), limits[0]);
  const args = { rows: 3, cols: 5, count: 2, ids: span(6), table: span(14), out: span(15) };
  checkCombineRows(args, find, heap);
  checkChoiceDots({ ...args, x: span(15) }, find, heap);
  checkCombineRows({ ...args, cols: 0 }, find, heap);
  assertEquals(asked, [[6, 2, -(2 ** 31)], [6, 2, -(2 ** 31)]]);
});
