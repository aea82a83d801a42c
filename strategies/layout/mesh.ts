import type { Topology } from "../../collectives/mod.ts";

/** Axes of a mesh, outermost first: the innermost talk most and get neighbouring ranks. */
export const AXES = ["dp", "pp", "ep", "cp", "tp"] as const;
/** One of {@link AXES}: data, pipeline, expert, context, tensor. */
export type Axis = typeof AXES[number];

/** Number of devices along each axis. */
export type Degrees = Readonly<Record<Axis, number>>;

/** Place of a rank along each axis. */
export type Coordinates = Readonly<Record<Axis, number>>;

/** A grid of ranks with named axes. Rank = coordinates as digits, outermost axis first. */
export class Mesh {
  /** Number of devices along each axis, 1 where none was given. */
  readonly degrees: Degrees;

  /**
   * Makes a grid of `size` ranks.
   *
   * @param degrees Axes that are left out have degree 1.
   * @throws {RangeError} If a degree is not a positive integer.
   */
  constructor(degrees: Partial<Degrees>) {
    for (const [axis, degree] of Object.entries(degrees)) {
      if (!Number.isInteger(degree) || degree < 1) {
        throw new RangeError(`Cannot make a mesh with ${axis} ${degree}: a degree is a whole number from 1`);
      }
    }
    this.degrees = { dp: 1, pp: 1, ep: 1, cp: 1, tp: 1, ...degrees };
  }

  /** Number of devices. */
  get size(): number {
    return AXES.reduce((product, axis) => product * this.degrees[axis], 1);
  }

  /** Where a rank stands. */
  coordinates(rank: number): Coordinates {
    const place: Record<Axis, number> = { dp: 0, pp: 0, ep: 0, cp: 0, tp: 0 };
    let rest = rank;
    for (const axis of AXES.toReversed()) {
      place[axis] = rest % this.degrees[axis];
      rest = Math.floor(rest / this.degrees[axis]);
    }
    return place;
  }

  /** The rank that stands there. */
  rank(coordinates: Coordinates): number {
    return AXES.reduce((rank, axis) => rank * this.degrees[axis] + coordinates[axis], 0);
  }

  /** The ranks that differ from `rank` along one axis only, itself included, in order. */
  line(rank: number, axis: Axis): number[] {
    const place = this.coordinates(rank);
    return Array.from({ length: this.degrees[axis] }, (_, i) => this.rank({ ...place, [axis]: i }));
  }

  /**
   * The groups of a run: one named after each axis for every line along it, `world` for all ranks, `data` for ranks that
   * sum gradients, `expertData` for those that sum gradients of experts, and `ends` for the first and last stage of every
   * pipeline, which may share parameters.
   */
  topology(): Topology {
    const ranks = Array.from({ length: this.size }, (_, rank) => rank);
    const starts = (axis: Axis) => ranks.filter((rank) => this.coordinates(rank)[axis] === 0);
    const lines = AXES.flatMap((axis) =>
      starts(axis).map((rank) => ({ name: axis as string, ranks: this.line(rank, axis) }))
    );
    // Ranks that see different tokens and hold the same parameters: all of them, and those of one expert.
    const data = this.#planes(["dp", "ep", "cp"]).map((members) => ({ name: "data", ranks: members }));
    const experts = this.#planes(["dp", "cp"]).map((members) => ({ name: "expertData", ranks: members }));
    const ends = starts("pp").map((rank) => {
      const line = this.line(rank, "pp");
      return { name: "ends", ranks: line.length === 1 ? line : [line[0], line.at(-1)!] };
    });
    return {
      worldSize: this.size,
      groups: [{ name: "world", ranks }, ...lines, ...data, ...experts, ...ends],
    };
  }

  /** Ranks that differ along some axes only, in order. */
  #planes(axes: readonly Axis[]): number[][] {
    const planes = new Map<string, number[]>();
    for (let rank = 0; rank < this.size; rank++) {
      const place = this.coordinates(rank);
      const key = AXES.filter((axis) => !axes.includes(axis)).map((axis) => place[axis]).join();
      planes.set(key, [...planes.get(key) ?? [], rank]);
    }
    return [...planes.values()];
  }
}

/**
 * The part that the member at `index` of `parts`, a power of two, gets when items are halved again and again, the smaller
 * half first: the parts of members 2 i and 2 i + 1 are those of member i of half as many.
 */
export function bisectionShare(total: number, parts: number, index: number): { start: number; end: number } {
  if (parts === 1) return { start: 0, end: total };
  const { start, end } = bisectionShare(total, parts / 2, index >> 1),
    middle = start + Math.floor((end - start) / 2);
  return index % 2 === 0 ? { start, end: middle } : { start: middle, end };
}

/** The part `[start, end)` of `total` items that the member at `index` of `parts` gets: sizes differ by one at most. */
export function shareOf(total: number, parts: number, index: number): { start: number; end: number } {
  return { start: Math.floor(total * index / parts), end: Math.floor(total * (index + 1) / parts) };
}
