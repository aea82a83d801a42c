/**
 * How the tree of a sum over k is cut into parts that fit the packing buffers of a matrix product.
 */
import type { SumTree, TermRun } from "../arguments/sum_tree.ts";
import type { TreeMode } from "./tree_gemm.ts";

/** A part of a tree that the kernels sum in one go. */
export interface TreeGroup {
  /** Runs of k, in order. */
  readonly runs: readonly TermRun[];
  /** Terms of all runs. */
  readonly depth: number;
  /** The table of the kernels for A with its k contiguous: a row for each run. */
  readonly rowTable: Int32Array<ArrayBuffer>;
  /** The same for a packed A: a row for each leaf, whose runs lie one behind the other. */
  readonly packedTable: Int32Array<ArrayBuffer>;
  /** Whether the group goes on with the chain that the one before it began. */
  readonly isContinued: boolean;
  /** How many partial blocks to add when the group is done. */
  readonly merges: number;
}

/** Most terms of a group. */
export const MAX_DEPTH = 1024;
/** Most runs of a group. */
export const MAX_RUNS = 512;

/** A subtree: its leaves `[first, end)`. */
interface Node {
  readonly first: number;
  readonly end: number;
  readonly children: readonly Node[];
}

const known = new WeakMap<SumTree, readonly TreeGroup[]>();

/** The groups of a tree, in order; worked out once for each tree. */
export function treeGroups(tree: SumTree): readonly TreeGroup[] {
  let groups = known.get(tree);
  if (groups === undefined) known.set(tree, groups = cut(tree));
  return groups;
}

/** What the kernels do with C for a group whose block has been begun or not. */
export function modeOf({ isContinued }: TreeGroup): TreeMode {
  return isContinued ? "chain" : "set";
}

function cut(tree: SumTree): TreeGroup[] {
  const stack: Node[] = [], groups: TreeGroup[] = [];
  tree.merges.forEach((count, i) => {
    let node: Node = { first: i, end: i + 1, children: [] };
    for (let merge = 0; merge < count; merge++) {
      const left = stack.pop()!;
      node = { first: left.first, end: node.end, children: [left, node] };
    }
    stack.push(node);
  });
  const visit = (node: Node, merges: number): void => {
    const leaves = tree.leaves.slice(node.first, node.end), runs = leaves.flat();
    if (depthOf(runs) <= MAX_DEPTH && runs.length <= MAX_RUNS) {
      const inner = tree.merges.slice(node.first, node.end);
      // What the last leaf merges beyond this subtree is done with whole blocks.
      inner[inner.length - 1] = leaves.length - 1 - inner.slice(0, -1).reduce((a, b) => a + b, 0);
      groups.push(makeGroup(leaves, inner, merges));
    } else if (node.children.length === 2) {
      visit(node.children[0], 0);
      visit(node.children[1], merges + 1);
    } else cutLeaf(runs, merges, groups);
  };
  for (const node of stack) visit(node, 0);
  return groups;
}

/** A leaf that is too long becomes a chain of groups. */
function cutLeaf(runs: readonly TermRun[], merges: number, groups: TreeGroup[]): void {
  const parts = runs.flatMap(({ start, length }) =>
    Array.from({ length: Math.ceil(length / MAX_DEPTH) }, (_, i) => ({
      start: start + i * MAX_DEPTH,
      length: Math.min(MAX_DEPTH, length - i * MAX_DEPTH),
    }))
  );
  parts.forEach((part, i) =>
    groups.push(makeGroup([[part]], [0], i === parts.length - 1 ? merges : 0, i > 0))
  );
}

function makeGroup(
  leaves: SumTree["leaves"],
  merges: readonly number[],
  blockMerges: number,
  isContinued = false,
): TreeGroup {
  const runs = leaves.flat(), rowTable: number[] = [], packedTable: number[] = [];
  let at = 0;
  leaves.forEach((leaf, i) => {
    leaf.forEach(({ start, length }, j) => {
      rowTable.push(4 * (start - at), length, j === leaf.length - 1 ? merges[i] : -1);
      at = start + length;
    });
    packedTable.push(0, depthOf(leaf), merges[i]);
  });
  const tables = { rowTable: Int32Array.from(rowTable), packedTable: Int32Array.from(packedTable) };
  return { runs, depth: depthOf(runs), ...tables, isContinued, merges: blockMerges };
}

function depthOf(runs: readonly TermRun[]): number {
  return runs.reduce((sum, { length }) => sum + length, 0);
}
