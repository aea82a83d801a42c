/**
 * Expert operations of the reference backend: plain loops, float64 in between.
 */
import {
  checkChoiceDots,
  checkCombineRows,
  checkRoute,
  checkRouteBackward,
  type FindBadId,
} from "../arguments/check_experts.ts";
import {
  type ChoiceDotsArgs,
  type CombineRowsArgs,
  type RouteArgs,
  type RouteBackwardArgs,
  sharesWeights,
} from "../arguments/expert_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";

/** Sorts the experts of each token and hands out slots. */
export function route(heap: DeviceHeap, args: RouteArgs): void {
  checkRoute(args);
  const { units, unitTokens, experts, choices, capacity } = args;
  const probabilities = heap.f32(args.probabilities), mask = heap.f32(args.mask);
  const chosen = heap.i32(args.chosen), weights = heap.f32(args.weights), slots = heap.i32(args.slots);
  const slotTokens = heap.i32(args.slotTokens), slotWeights = heap.f32(args.slotWeights);
  const wanted = heap.i32(args.wanted), losses = heap.f32(args.losses);
  slotTokens.fill(-1, 0, experts * units * capacity);
  slotWeights.fill(0, 0, experts * units * capacity);
  wanted.fill(0, 0, units * experts);
  for (let token = 0; token < units * unitTokens; token++) {
    const unit = Math.floor(token / unitTokens);
    const row = probabilities.subarray(token * experts, (token + 1) * experts);
    const live = Array.from(row.keys()).filter((e) => mask[e] === 0);
    const best = live.sort((a, b) => row[b] - row[a] || a - b).slice(0, choices);
    const total = !sharesWeights(args) ? 1 : best.reduce((sum, e) => sum + row[e], 0);
    best.forEach((e, i) => {
      const place = wanted[unit * experts + e]++, at = token * choices + i;
      const slot = place < capacity ? (e * units + unit) * capacity + place : -1;
      chosen[at] = e;
      weights[at] = row[e] / total;
      slots[at] = slot;
      if (slot < 0) return;
      slotTokens[slot] = token;
      slotWeights[slot] = weights[at];
    });
  }
  for (let unit = 0; unit < units; unit++) {
    let loss = 0;
    for (let i = 0; i < unitTokens * experts; i++) {
      loss += wanted[unit * experts + i % experts] * probabilities[unit * unitTokens * experts + i];
    }
    losses[unit] = args.lossFactor * loss;
  }
}

/** Derivative of each weight, and of the loss. */
export function routeBackward(heap: DeviceHeap, args: RouteBackwardArgs): void {
  checkRouteBackward(args, finder(heap), heap);
  const { units, unitTokens, experts, choices } = args;
  const probabilities = heap.f32(args.probabilities), chosen = heap.i32(args.chosen);
  const weights = heap.f32(args.weights), wanted = heap.i32(args.wanted);
  const dWeights = heap.f32(args.dWeights), dProbabilities = heap.f32(args.dProbabilities);
  for (let token = 0; token < units * unitTokens; token++) {
    const unit = Math.floor(token / unitTokens), places = Array.from({ length: choices }, (_, i) => i);
    const row = Float64Array.from(
      { length: experts },
      (_, e) => args.lossFactor * wanted[unit * experts + e],
    );
    const at = token * choices, p = (i: number) => probabilities[token * experts + chosen[at + i]];
    const total = !sharesWeights(args) ? 1 : places.reduce((sum, i) => sum + p(i), 0);
    const dot = !sharesWeights(args)
      ? 0
      : places.reduce((sum, i) => sum + weights[at + i] * dWeights[at + i], 0);
    for (const i of places) row[chosen[at + i]] += (dWeights[at + i] - dot) / total;
    dProbabilities.set(row, token * experts);
  }
}

/** Sums of rows in float64, rounded once. */
export function combineRows(heap: DeviceHeap, args: CombineRowsArgs): void {
  checkCombineRows(args, finder(heap), heap);
  const { rows, cols, count } = args, ids = heap.i32(args.ids), table = heap.f32(args.table);
  const weights = args.weights && heap.f32(args.weights), out = heap.f32(args.out);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      let sum = args.accumulate ? out[r * cols + c] : 0;
      for (let i = r * count; i < (r + 1) * count; i++) {
        if (ids[i] >= 0) sum += (weights?.[i] ?? 1) * table[ids[i] * cols + c];
      }
      out[r * cols + c] = sum;
    }
  }
}

/** A dot product for each id. */
export function choiceDots(heap: DeviceHeap, args: ChoiceDotsArgs): void {
  checkChoiceDots(args, finder(heap), heap);
  const { rows, cols, count } = args, ids = heap.i32(args.ids);
  const x = heap.f32(args.x), table = heap.f32(args.table), out = heap.f32(args.out);
  for (let i = 0; i < rows * count; i++) {
    const at = Math.floor(i / count) * cols;
    let dot = 0;
    for (let c = 0; ids[i] >= 0 && c < cols; c++) dot += x[at + c] * table[ids[i] * cols + c];
    out[i] = dot;
  }
}

function finder(heap: DeviceHeap): FindBadId {
  return (ids, n, limit, lowest) => {
    const index = heap.i32(ids).subarray(0, n).findIndex((id) => id < lowest || id >= limit);
    return index < 0 ? n : index;
  };
}
