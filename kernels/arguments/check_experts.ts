/**
 * Checks of the arguments of expert operations, shared by the backends.
 */
import { badId, need } from "./check.ts";
import type { ChoiceDotsArgs, CombineRowsArgs, RouteArgs, RouteBackwardArgs } from "./expert_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";

/** Index of the first of `n` ids that is not in `lowest .. limit - 1`, or n. */
export type FindBadId = (ids: Span, n: number, limit: number, lowest: number) => number;

/** Below every id: for operations that leave out negative ones. */
const ANY_NEGATIVE = -0x80000000;

/** @throws {RangeError} If a span of the arguments is too short, or a token asks for more experts than there are. */
export function checkRoute(args: RouteArgs): void {
  const { units, experts, choices } = args, tokens = units * args.unitTokens;
  const slots = experts * units * args.capacity;
  if (choices > experts) {
    throw new RangeError(`Cannot run route: ${choices} choices among ${experts} experts`);
  }
  need("route", "probabilities", args.probabilities, tokens * experts);
  need("route", "mask", args.mask, experts);
  need("route", "chosen", args.chosen, tokens * choices);
  need("route", "weights", args.weights, tokens * choices);
  need("route", "slots", args.slots, tokens * choices);
  need("route", "slotTokens", args.slotTokens, slots);
  need("route", "slotWeights", args.slotWeights, slots);
  need("route", "wanted", args.wanted, units * experts);
  need("route", "losses", args.losses, units);
}

/** @throws {RangeError} If a span of the arguments is too short, or a chosen expert does not exist. */
export function checkRouteBackward(args: RouteBackwardArgs, find: FindBadId, heap: DeviceHeap): void {
  const { units, experts, choices } = args, tokens = units * args.unitTokens;
  need("routeBackward", "probabilities", args.probabilities, tokens * experts);
  need("routeBackward", "chosen", args.chosen, tokens * choices);
  need("routeBackward", "weights", args.weights, tokens * choices);
  need("routeBackward", "wanted", args.wanted, units * experts);
  need("routeBackward", "dWeights", args.dWeights, tokens * choices);
  need("routeBackward", "dProbabilities", args.dProbabilities, tokens * experts);
  const index = find(args.chosen, tokens * choices, experts, 0);
  if (index < tokens * choices) throw badId("routeBackward", index, heap.i32(args.chosen)[index], experts);
}

/** @throws {RangeError} If a span of the arguments is too short, or a row does not exist. */
export function checkCombineRows(args: CombineRowsArgs, find: FindBadId, heap: DeviceHeap): void {
  const { rows, cols, count } = args;
  need("combineRows", "ids", args.ids, rows * count);
  if (args.weights !== undefined) need("combineRows", "weights", args.weights, rows * count);
  need("combineRows", "out", args.out, rows * cols);
  checkRows("combineRows", args, find, heap);
}

/** @throws {RangeError} If a span of the arguments is too short, or a row does not exist. */
export function checkChoiceDots(args: ChoiceDotsArgs, find: FindBadId, heap: DeviceHeap): void {
  const { rows, cols, count } = args;
  need("choiceDots", "ids", args.ids, rows * count);
  need("choiceDots", "x", args.x, rows * cols);
  need("choiceDots", "out", args.out, rows * count);
  checkRows("choiceDots", args, find, heap);
}

function checkRows(
  operation: string,
  args: { rows: number; cols: number; count: number; ids: Span; table: Span },
  find: FindBadId,
  heap: DeviceHeap,
): void {
  if (args.cols === 0) return;
  const n = args.rows * args.count, limit = Math.floor(args.table.length / args.cols);
  const index = find(args.ids, n, limit, ANY_NEGATIVE);
  if (index < n) throw badId(operation, index, heap.i32(args.ids)[index], limit);
}
