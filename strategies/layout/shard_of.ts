/**
 * Which part of a parameter a device holds: what a plan deals out, unit by unit.
 */
import { formatShape, type Shape, type Shard } from "../../nn/mod.ts";
import { shareOf } from "./mesh.ts";
import {
  type GroupPlace,
  type HeadSharing,
  layerOf,
  type LayerSplit,
  type ParallelPlan,
  splitOf,
} from "./plan.ts";

/** Units that are dealt out. */
export interface Dealing extends HeadSharing {
  /** How many there are. */
  readonly units: number;
}

/** What of a parameter is dealt out along one dim: how many units each part of it has. */
export interface ParameterUnits extends Dealing {
  /** The dim. */
  readonly dim: number;
  /** Elements of a unit of each part. */
  readonly widths: readonly number[];
}

/** The units `[start, end)` that a device gets; a copy if a device before it has them, too. */
export interface UnitShare {
  /** First of them. */
  readonly start: number;
  /** Behind the last. */
  readonly end: number;
  /** Another device answers for them. */
  readonly isCopy: boolean;
}

/**
 * The units that a device gets, in order; shares differ by one unit, or one group of units, at most.
 *
 * @returns undefined if some device would get none, or heads of k and v could not be those that its heads of q read.
 */
export function dealUnits(
  { units, groups, readers }: Dealing,
  { size, index }: GroupPlace,
): UnitShare | undefined {
  const shared = readers === undefined ? groups ?? units : units, perGroup = units / shared;
  if (size <= shared) {
    const { start, end } = shareOf(shared, size, index);
    return { start: start * perGroup, end: end * perGroup, isCopy: false };
  }
  const devices = size / shared, place = index % devices, first = Math.floor(index / devices) * perGroup;
  if (!Number.isInteger(devices)) return undefined;
  if (readers !== undefined) return { start: first, end: first + 1, isCopy: place > 0 };
  if (perGroup < devices) return undefined;
  const { start, end } = shareOf(perGroup, devices, place);
  return { start: first + start, end: first + end, isCopy: false };
}

/**
 * The part of a parameter that a device holds; undefined = all.
 *
 * @param name Full name of the parameter: that of its layer, a dot, and its own.
 * @throws {RangeError} If its width is not made of whole units, or they cannot be dealt out to that many devices.
 */
export function shardOf(
  plan: ParallelPlan,
  name: string,
  shape: Shape,
  place: GroupPlace,
): Shard | undefined {
  const path = layerOf(name), split = place.size === 1 ? undefined : unitsOf(plan, name, shape);
  if (split === undefined) return undefined;
  const { dim, units, widths } = split, what = `dim ${dim} of ${name} ${formatShape(shape)}`;
  const isEven = new Set(widths).size === 1, list = widths.join(" + "), { size } = place;
  if (!Number.isInteger(units)) {
    const allowed = isEven ? `${widths.length} parts of units of ${widths[0]}` : `units of ${list}`;
    throw new RangeError(`Cannot split ${path} over tp ${size}: ${what} must be a multiple of ${allowed}`);
  }
  const share = dealUnits(split, place);
  if (share === undefined) {
    throw new RangeError(
      `Cannot split ${path} over tp ${size}: ${what} has ${
        whyNot(split, size, isEven ? `${widths[0]}` : list)
      }`,
    );
  }
  const { start, end, isCopy } = share;
  const runs = startsOf(widths).map((first, part) => (
    { start: first * units + start * widths[part], length: (end - start) * widths[part] }
  ));
  return isCopy ? { dim, runs, isCopy } : { dim, runs };
}

function whyNot({ units, groups = units, readers }: Dealing, size: number, width: string): string {
  if (readers === undefined && units < size) {
    return `${units} units of ${width}, and every device needs at least one`;
  }
  const shared = readers === undefined ? groups : units;
  return `${shared} heads of keys, and more devices than that must be a multiple of them with a head of queries each`;
}

/** What of a parameter is dealt out; undefined if it is not split. */
export function unitsOf(plan: ParallelPlan, name: string, shape: Shape): ParameterUnits | undefined {
  const path = layerOf(name), split = splitOf(plan, path), dim = split && splitDim(split, path, shape);
  if (dim === undefined) return undefined;
  const { unit = 1, parts = 1, groups, readers } = split as HeadSharing & {
    readonly unit?: number;
    readonly parts?: number | readonly number[];
  };
  const widths = (typeof parts === "number" ? Array<number>(parts).fill(1) : parts).map((count) =>
    count * unit
  );
  return { dim, units: shape[dim] / widths.reduce((sum, width) => sum + width, 0), widths, groups, readers };
}

/** Where each of several lengths begins when they lie one behind the other. */
export function startsOf(lengths: readonly number[]): number[] {
  let end = 0;
  return lengths.map((length) => (end += length) - length);
}

/** The dim along which a parameter of a layer is split: that of outputs or inputs, or the rows of a table. */
function splitDim(split: LayerSplit, path: string, shape: Shape): number | undefined {
  const last = shape.length - 1;
  switch (split.kind) {
    case "column":
      return split.outputsFirst ? 0 : last;
    case "row":
      return shape.length === 1 ? undefined : split.outputsFirst ? last : last - 1;
    case "vocab":
      return 0;
    case "head":
      return split.table === path ? 0 : last;
    default:
      return undefined;
  }
}
