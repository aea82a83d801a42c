/**
 * How a parallel plan cuts sums in exact numerics: over a dim that some tensor group may split, the terms of every
 * quarter are added up apart, and then the quarters, whether they lie on one device or on four.
 */
import { bisectionTree, phantomHeap } from "../../kernels/mod.ts";
import { Scope, type Shape, type SumChunks } from "../../nn/mod.ts";
import {
  type GroupPlace,
  isInMixture,
  layerOf,
  type ParallelPlan,
  shardOf,
  splitOf,
  startsOf,
  unitsOf,
} from "../layout/mod.ts";

/** Most devices that a sum can be split over. */
export const EXACT_CHUNKS = 4;

/**
 * The tree of the sums over the split dim of a parameter, over the part of it that a device holds; undefined if no plan
 * splits it, or into nothing.
 *
 * @throws {RangeError} If the devices of the group would hold unequal parts.
 */
export function sumChunksOf(
  plan: ParallelPlan,
  name: string,
  shape: Shape,
  { size, index }: GroupPlace,
): SumChunks | undefined {
  const split = shape.length < 2 ? undefined : unitsOf(plan, name, shape);
  if (split === undefined) return undefined;
  const { dim, units, widths } = split, chunks = chunkCount(units);
  if (chunks % size !== 0) {
    throw new RangeError(
      `Cannot split ${
        layerOf(name)
      } over tp ${size} with exact numerics: its ${units} units must be a multiple of ` +
        `tp, which must be 1, 2 or 4`,
    );
  }
  const lengths = widths.map((width) => units * width), starts = startsOf(lengths);
  const whole = lengths.map((length, part) => ({ start: starts[part], length }));
  const own = shardOf(plan, name, shape, { size, index })?.runs ?? whole, count = chunks / size;
  const places = startsOf(own.map(({ length }) => length));
  const leaves = Array.from({ length: count }, (_, i) => {
    const runs = shardOf(plan, name, shape, { size: chunks, index: index * count + i })?.runs ?? whole;
    return runs.map(({ start, length }, part) => ({ start: places[part] + start - own[part].start, length }));
  });
  return { dim, tree: bisectionTree(leaves) };
}

/** Chunks of a dim of so many units: as many as EXACT_CHUNKS, or half, if that many share them evenly. */
export function chunkCount(units: number): number {
  return [EXACT_CHUNKS, 2].find((count) => units % count === 0) ?? 1;
}

/**
 * Refuses what has no fixed order of its sums.
 *
 * @param build Makes the model's layers in a scope.
 * @throws {RangeError} If a layer cannot be shared evenly, or, under sequence parallelism, a layer that is not split has
 * a weight and would see some of the rows only.
 */
export function checkExactPlan(
  plan: ParallelPlan,
  { tp, sp }: { readonly tp: number; readonly sp: boolean },
  build: (scope: Scope) => unknown,
): void {
  const sumChunks = (name: string, shape: Shape) => sumChunksOf(plan, name, shape, { size: tp, index: 0 });
  const scope = Scope.of({
    heap: phantomHeap(),
    seed: 0,
    sharding: { shard: () => undefined, hooks: () => undefined, sumChunks },
  });
  build(scope);
  if (!sp) return;
  for (const { name, shape } of scope.parameters) {
    const path = layerOf(name);
    if (shape.length < 2 || splitOf(plan, path) !== undefined || isInMixture(plan, path)) continue;
    throw new RangeError(
      `Cannot use sequence parallelism with exact numerics: the plan does not name ${path}, whose weight would see some ` +
        `of the rows only; name it as "whole"`,
    );
  }
}
