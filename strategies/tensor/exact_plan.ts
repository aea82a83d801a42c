/**
 * How a parallel plan cuts sums in exact numerics: over a dim that some tensor group may split, the terms of every
 * quarter are added up apart, and then the quarters, whether they lie on one device or on four.
 */
import { bisectionTree, phantomHeap } from "../../kernels/mod.ts";
import { OF_HEADS, Scope, type Shape, type SumChunks } from "../../nn/mod.ts";
import {
  type Dealing,
  type GroupPlace,
  type HeadSharing,
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
  const path = layerOf(name), ofHeads = splitOf(plan, path);
  if (ofHeads?.kind === "heads") return headChunks(ofHeads, size);
  const split = shape.length < 2 ? undefined : unitsOf(plan, name, shape);
  if (split === undefined) return undefined;
  const { dim, units, widths } = split, all = chunkCount(split);
  if (all % size !== 0) {
    throw new RangeError(
      `Cannot split ${path} over tp ${size} with exact numerics: its ${units} units must be a multiple of ` +
        `tp, which must be 1, 2 or 4`,
    );
  }
  // Heads of k and v that are fewer than devices are a chunk each, wherever they lie.
  const chunks = Math.min(all, units), count = Math.max(1, chunks / size);
  const lengths = widths.map((width) => units * width), starts = startsOf(lengths);
  const whole = lengths.map((length, part) => ({ start: starts[part], length }));
  const own = shardOf(plan, name, shape, { size, index })?.runs ?? whole;
  const places = startsOf(own.map(({ length }) => length)), first = Math.floor(index * chunks / size);
  const leaves = Array.from({ length: count }, (_, i) => {
    const runs = shardOf(plan, name, shape, { size: chunks, index: first + i })?.runs ?? whole;
    return runs.map(({ start, length }, part) => ({ start: places[part] + start - own[part].start, length }));
  });
  return { dim, tree: bisectionTree(leaves) };
}

/** The tree over the heads of a device, which are those of its chunks. */
function headChunks({ heads, groups, readers }: HeadSharing & { heads: number }, size: number): SumChunks {
  const chunks = chunkCount({ units: heads, groups, readers }), count = Math.max(1, chunks / size);
  const perChunk = Math.max(heads, readers === undefined ? 0 : chunks) / chunks;
  const leaves = Array.from({ length: count }, (_, i) => [{ start: i * perChunk, length: perChunk }]);
  return { dim: OF_HEADS, tree: bisectionTree(leaves) };
}

/**
 * Chunks of so many units: as many as EXACT_CHUNKS, or half, if that many devices share them evenly. Heads of k and v have
 * as many chunks as those of q that read them, even if there are fewer of them.
 */
export function chunkCount({ units, groups, readers }: Dealing): number {
  const shared = readers === undefined ? groups ?? units : units, perShared = (readers ?? units) / shared;
  const isEven = (count: number) =>
    shared % count === 0 || (count % shared === 0 && perShared % (count / shared) === 0);
  return [EXACT_CHUNKS, 2].find(isEven) ?? 1;
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
