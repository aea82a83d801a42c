/**
 * Parallel plans: which layers of a model are split over the devices of a tensor group, and how, as data. A plan is
 * written by the owner of a model, by names of its layers.
 *
 * Source: Shoeybi et al., Megatron-LM, 2019, section 3 (column, row, vocabulary); Korthikanti et al., Reducing Activation
 * Recomputation in Large Transformer Models, MLSys 2023, section 4.2 (sequence parallelism).
 */
import { phantomHeap } from "../../kernels/mod.ts";
import { formatShape, Scope, type Shape, type Shard } from "../../nn/mod.ts";
import { shareOf } from "./mesh.ts";

/**
 * How one layer is split:
 * - `column`: its outputs, so that each device computes some of them from the whole input. The width consists of `parts`
 *   fused parts (3 for q, k, v), each split by whole `unit`s (the width of a head); by default one part and units of 1.
 *   Parts of unequal widths are a list: how many units each deals out at a time. `[4, 1, 1]` are q, k and v where four
 *   heads of q read one of k and v: they go to a device together.
 * - `row`: its inputs by whole units; products are summed over devices, and the bias is added once.
 * - `vocab`: the rows of an embedding table.
 * - `head`: the output classes of a last layer, whose logits go straight to `crossEntropy`. With `table`, the layer is a
 *   `Head` over the table of the layer of that name (which is `vocab`, or the head itself); without, a `Linear`.
 * - `local`: not split; under sequence parallelism it sees this device's rows of its input.
 * - `whole`: not split; under sequence parallelism it sees all rows on every device.
 * - `mixture`: a layer of experts: under sequence parallelism it sees all rows on every device, and gives this device's.
 *   The layers inside it (`column`, `row`) work on tokens sorted by expert, so their rows are never spread.
 *
 * Layers that a plan does not name are not split; under sequence parallelism they must see this device's rows.
 */
export type LayerSplit =
  | { readonly kind: "column"; readonly unit?: number; readonly parts?: number | readonly number[] }
  | { readonly kind: "row"; readonly unit?: number }
  | { readonly kind: "vocab" }
  | { readonly kind: "head"; readonly table?: string }
  | { readonly kind: "local" }
  | { readonly kind: "whole" }
  | { readonly kind: "mixture" };

/** Splits by names of layers, in which `*` stands for one component: `h.*.attn.c_attn`. The first match counts. */
export type ParallelPlan = Readonly<Record<string, LayerSplit>>;

/** A place in a tensor group. */
export interface GroupPlace {
  /** Number of devices. */
  readonly size: number;
  /** Which of them, from 0. */
  readonly index: number;
}

/** How the layer at a path is split; undefined if the plan does not name it. */
export function splitOf(plan: ParallelPlan, path: string): LayerSplit | undefined {
  for (const pattern in plan) if (matchesPattern(pattern, path)) return plan[pattern];
  return undefined;
}

/** Whether a layer lies inside of a layer of experts. */
export function isInMixture(plan: ParallelPlan, path: string): boolean {
  const names = path.split(".");
  return Object.entries(plan).some(([pattern, { kind }]) => {
    const length = pattern.split(".").length;
    return kind === "mixture" && length < names.length &&
      matchesPattern(pattern, names.slice(0, length).join("."));
  });
}

/**
 * The part of a parameter that a device holds; undefined = all. Units are dealt out in order; shares differ by one unit
 * at most.
 *
 * @param name Full name of the parameter: that of its layer, a dot, and its own.
 * @throws {RangeError} If its width is not made of whole units, or of fewer units than there are devices.
 */
export function shardOf(
  plan: ParallelPlan,
  name: string,
  shape: Shape,
  { size, index }: GroupPlace,
): Shard | undefined {
  const path = layerOf(name), split = size === 1 ? undefined : unitsOf(plan, name, shape);
  if (split === undefined) return undefined;
  const { dim, units, widths } = split, what = `dim ${dim} of ${name} ${formatShape(shape)}`;
  const isEven = new Set(widths).size === 1, list = widths.join(" + ");
  if (!Number.isInteger(units)) {
    const allowed = isEven ? `${widths.length} parts of units of ${widths[0]}` : `units of ${list}`;
    throw new RangeError(`Cannot split ${path} over tp ${size}: ${what} must be a multiple of ${allowed}`);
  }
  if (units < size) {
    throw new RangeError(
      `Cannot split ${path} over tp ${size}: ${what} has ${units} units of ${isEven ? widths[0] : list}, ` +
        `and every device needs at least one`,
    );
  }
  const { start, end } = shareOf(units, size, index);
  const runs = startsOf(widths).map((first, part) => (
    { start: first * units + start * widths[part], length: (end - start) * widths[part] }
  ));
  return { dim, runs };
}

/** What of a parameter is dealt out along one dim. */
export interface ParameterUnits {
  /** The dim. */
  readonly dim: number;
  /** How many units each part of it has. */
  readonly units: number;
  /** Elements of a unit of each part. */
  readonly widths: readonly number[];
}

/** What of a parameter is dealt out; undefined if it is not split. */
export function unitsOf(plan: ParallelPlan, name: string, shape: Shape): ParameterUnits | undefined {
  const path = layerOf(name), split = splitOf(plan, path), dim = split && splitDim(split, path, shape);
  if (dim === undefined) return undefined;
  const { unit = 1, parts = 1 } = split as { unit?: number; parts?: number | readonly number[] };
  const widths = (typeof parts === "number" ? Array<number>(parts).fill(1) : parts).map((count) =>
    count * unit
  );
  return { dim, units: shape[dim] / widths.reduce((sum, width) => sum + width, 0), widths };
}

/** Where each of several lengths begins when they lie one behind the other. */
export function startsOf(lengths: readonly number[]): number[] {
  let end = 0;
  return lengths.map((length) => (end += length) - length);
}

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

/** Full name of the layer that a parameter belongs to. */
export function layerOf(parameter: string): string {
  return parameter.slice(0, Math.max(0, parameter.lastIndexOf(".")));
}

function checkTable(plan: ParallelPlan, path: string): void {
  const split = splitOf(plan, path);
  if (split?.kind !== "head" || split.table === undefined || split.table === path) return;
  if (splitOf(plan, split.table)?.kind === "vocab") return;
  throw new RangeError(`Cannot split the head ${path}: its table ${split.table} must be split by vocab`);
}

function matchesPattern(pattern: string, path: string): boolean {
  const wanted = pattern.split("."), names = path.split(".");
  return wanted.length === names.length && wanted.every((part, i) => part === "*" || part === names[i]);
}

/** The dim along which a parameter of a layer is split: weights are [inputs, outputs], tables [rows, width]. */
function splitDim(split: LayerSplit, path: string, shape: Shape): number | undefined {
  switch (split.kind) {
    case "column":
      return shape.length - 1;
    case "row":
      return shape.length === 1 ? undefined : shape.length - 2;
    case "vocab":
      return 0;
    case "head":
      return split.table === path ? 0 : shape.length - 1;
    default:
      return undefined;
  }
}
