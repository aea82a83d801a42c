/**
 * Sums whose order of addition is a binary tree over fixed pieces, so that devices may compute any subtree of them and
 * the sum keeps its bits. See docs/decisions/0002-strategies.md, choice 6.
 */

/** Consecutive terms of a sum. */
export interface TermRun {
  /** Index of the first. */
  readonly start: number;
  /** Number of terms. */
  readonly length: number;
}

/**
 * A sum as a binary tree. The terms of a leaf are added one after the other, run by run; after leaf i the two latest
 * partial sums become one, `merges[i]` times.
 */
export interface SumTree {
  /** In the order in which they are summed. */
  readonly leaves: readonly (readonly TermRun[])[];
  /** As many as leaves; their sum is one less. */
  readonly merges: readonly number[];
}

/**
 * How many partial sums end with each of `count` leaves in the tree that halves them again and again, the smaller half
 * first.
 */
export function bisectionMerges(count: number): number[] {
  if (count <= 1) return count === 0 ? [] : [0];
  const half = Math.floor(count / 2), merges = [...bisectionMerges(half), ...bisectionMerges(count - half)];
  merges[count - 1]++;
  return merges;
}

/** A tree over given leaves, halved again and again. */
export function bisectionTree(leaves: SumTree["leaves"]): SumTree {
  return { leaves, merges: bisectionMerges(leaves.length) };
}

/** Sequences of equal units of rows: all rows that a device has of a batch. */
export interface RowUnits {
  /** Number of sequences. */
  readonly sequences: number;
  /** Units of each: even, or 1. */
  readonly units: number;
  /** Rows of a unit. */
  readonly unitRows: number;
}

/**
 * The tree of sums over the rows of a batch: sequences are halved, then pairs of units (0, n - 1), (1, n - 2), ... of a
 * sequence. A leaf is a pair. Devices of context parallelism hold pairs, replicas and micro-batches halves.
 */
export function rowTree({ sequences, units, unitRows }: RowUnits): SumTree {
  return nest(
    sequences,
    units,
    (sequence, pair) =>
      pair.map((unit) => ({ start: (sequence * units + unit) * unitRows, length: unitRows })),
  );
}

/** The same with one leaf for each unit, which is a single term: sums that are known unit by unit. */
export function unitTree({ sequences, units }: Omit<RowUnits, "unitRows">): SumTree {
  if (units === 1) return rowTree({ sequences, units, unitRows: 1 });
  const { leaves, merges } = nest(
    sequences,
    units,
    (sequence, pair) => pair.map((unit) => ({ start: sequence * units + unit, length: 1 })),
  );
  return {
    leaves: leaves.flatMap((pair) => pair.map((run) => [run])),
    merges: merges.flatMap((count) => [0, count + 1]),
  };
}

function nest(
  sequences: number,
  units: number,
  leafOf: (sequence: number, pair: readonly number[]) => readonly TermRun[],
): SumTree {
  const pairs = units === 1 ? [[0]] : Array.from({ length: units / 2 }, (_, i) => [i, units - 1 - i]);
  const inner = bisectionMerges(pairs.length), leaves: (readonly TermRun[])[] = [], merges: number[] = [];
  bisectionMerges(sequences).forEach((count, sequence) => {
    leaves.push(...pairs.map((pair) => leafOf(sequence, pair)));
    merges.push(...inner);
    merges[merges.length - 1] += count;
  });
  return { leaves, merges };
}
