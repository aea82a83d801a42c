import { phantomHeap } from "../../kernels/mod.ts";
import { Scope, type Shape } from "../../nn/mod.ts";
import { layerOf, matchesPattern, type ParallelPlan, splitOf } from "./plan.ts";
import { shardOf } from "./shard_of.ts";

/**
 * Checks a plan against a model and a degree before anything runs; builds the model without memory.
 *
 * @param build Makes the model's layers in a scope.
 * @throws {RangeError} If a layer has fewer units than devices or parts of units, a name of the plan fits no layer that
 * can be split, or the table of a head is not split over the vocabulary.
 */
export function checkPlan(plan: ParallelPlan, tp: number, build: (scope: Scope) => unknown): void {
  const paths = new Set<string>(), sharded: string[] = [];
  const shard = (name: string, shape: Shape) => {
    const part = shardOf(plan, name, shape, { size: tp, index: 0 });
    if (part !== undefined) sharded.push(layerOf(name));
    return part;
  };
  const hooks = (path: string) => {
    paths.add(path);
    return undefined;
  };
  build(Scope.of({ heap: phantomHeap(), seed: 0, sharding: { shard, hooks } }));
  const known = `layers that can be split are ${[...paths].join(", ")}`;
  for (const [pattern, split] of Object.entries(plan)) {
    const layers = [...paths].filter((path) => matchesPattern(pattern, path));
    if (layers.length === 0) {
      throw new RangeError(`Cannot split ${pattern} by ${split.kind}: the model has no such layer; ${known}`);
    }
    for (const path of layers) checkTable(plan, path);
  }
  for (const path of sharded) {
    if (!paths.has(path)) throw new RangeError(`Cannot split ${path}: it is of a type that cannot; ${known}`);
  }
}

function checkTable(plan: ParallelPlan, path: string): void {
  const split = splitOf(plan, path);
  if (split?.kind !== "head" || split.table === undefined || split.table === path) return;
  if (splitOf(plan, split.table)?.kind === "vocab") return;
  throw new RangeError(`Cannot split the head ${path}: its table ${split.table} must be split by vocab`);
}
