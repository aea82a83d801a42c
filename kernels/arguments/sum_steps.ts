import type { SumTree } from "./sum_tree.ts";

/** The additions of a {@link SumTree} over rows, in place: a partial sum lives in the row of its first term. */
export interface SumSteps {
  /** Rows that there must be: one more than the last that a leaf names. */
  readonly rows: number;
  /** Triples (to, from, count): rows `from`, `from + 1`, ... are added to row `to`, one after the other. */
  readonly steps: Int32Array;
  /** The row that the sum ends in; -1 without terms. */
  readonly total: number;
}

/** By tree, so that a step of training does not walk objects. */
const known = new WeakMap<SumTree, SumSteps>();

/**
 * The additions of a tree, worked out at its first use; a leaf without terms is skipped.
 *
 * @throws {RangeError} If a row is named twice, or merges do not end in one sum.
 */
export function sumSteps(tree: SumTree): SumSteps {
  let result = known.get(tree);
  if (result === undefined) known.set(tree, result = compile(tree));
  return result;
}

function compile(tree: SumTree): SumSteps {
  checkTree(tree);
  const steps: number[] = [], open: number[] = [];
  let rows = 0;
  tree.leaves.forEach((runs, leaf) => {
    const terms = runs.filter(({ length }) => length > 0), first = terms.length === 0 ? -1 : terms[0].start;
    terms.forEach(({ start, length }, i) => {
      rows = Math.max(rows, start + length);
      const from = i === 0 ? start + 1 : start, count = start + length - from;
      if (count > 0) steps.push(first, from, count);
    });
    open.push(first);
    for (let i = 0; i < tree.merges[leaf]; i++) {
      const right = open.pop()!, left = open.pop()!;
      if (left >= 0 && right >= 0) steps.push(left, right, 1);
      open.push(left >= 0 ? left : right);
    }
  });
  return { rows, steps: Int32Array.from(steps), total: open[0] ?? -1 };
}

/** @throws {RangeError} If the tree names a term twice, or its merges do not end in one sum. */
export function checkTree({ leaves, merges }: SumTree): void {
  let depth = 0;
  const fits = leaves.length === merges.length && merges.every((count) => (depth += 1 - count) >= 1);
  if (!fits || depth > 1) {
    throw new RangeError(
      `Cannot sum by a tree whose merges do not join ${leaves.length} leaves: they are ${merges}`,
    );
  }
  const seen = new Set<number>();
  for (const { start, length } of leaves.flat()) {
    for (let term = start; term < start + length; term++) {
      if (seen.has(term)) throw new RangeError(`Cannot sum by a tree that names term ${term} twice`);
      seen.add(term);
    }
  }
}
