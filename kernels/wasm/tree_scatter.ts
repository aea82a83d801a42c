/**
 * Sums of the rows that share an id, in the order of a tree. One pass links the rows of each id in tree order; then each
 * id's partial sums are merged like the digits of a counter, those of leaves without its rows skipped.
 *
 * A leaf's code is its path from the root, first bit on top. The top bit of two codes' difference tells where their
 * paths part, so two partial sums become one before a row whose path parts from them further up.
 */
import type { ScatterAddArgs } from "../arguments/row_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";
import { sumSteps } from "../arguments/sum_steps.ts";
import type { SumTree } from "../arguments/sum_tree.ts";
import { type FuncRef, type Kernel, type Kernels, type ModuleBuilder, parameters } from "./builder.ts";
import { eachRow } from "./elementwise.ts";
import { load } from "./loads.ts";
import { I32, type I32Local } from "./values.ts";

/** Bits of a code. */
const MAX_DEPTH = 32;

/** A tree as the kernel reads it. */
export interface ScatterPlan {
  /** Triples (first row, row behind the last, code of the leaf). */
  readonly runs: Int32Array;
  /** Rows that there must be. */
  readonly rows: number;
  /** Merges between the root and the deepest leaf. */
  readonly depth: number;
}

const known = new WeakMap<SumTree, ScatterPlan>();

/**
 * The plan of a tree, worked out at its first use.
 *
 * @throws {RangeError} If it is none, or too deep.
 */
export function scatterPlan(tree: SumTree): ScatterPlan {
  let plan = known.get(tree);
  if (plan === undefined) known.set(tree, plan = compile(tree));
  return plan;
}

function compile(tree: SumTree): ScatterPlan {
  const { rows } = sumSteps(tree),
    codes = tree.leaves.map(() => 0),
    open: { first: number; depth: number }[] = [];
  let depth = 0;
  tree.leaves.forEach((_, leaf) => {
    open.push({ first: leaf, depth: 0 });
    for (let i = 0; i < tree.merges[leaf]; i++) {
      const right = open.pop()!, left = open.pop()!;
      for (let j = left.first; j <= leaf; j++) codes[j] = codes[j] >>> 1 | (j < right.first ? 0 : 1 << 31);
      open.push({ first: left.first, depth: 1 + Math.max(left.depth, right.depth) });
    }
    depth = Math.max(depth, open[open.length - 1].depth);
  });
  if (depth > MAX_DEPTH) {
    throw new RangeError(`Cannot scatter by a tree of depth ${depth}: ${MAX_DEPTH} is the most`);
  }
  const runs = tree.leaves.flatMap((leaf, i) =>
    leaf.flatMap(({ start, length }) => [start, start + length, codes[i]])
  );
  return { runs: Int32Array.from(runs), rows, depth };
}

/**
 * Calls of `scatterTree`, and their workspace: a word for each row of the table, two for each row of x, and a row of
 * sums for each level of the tree. It grows to the largest call.
 */
export class TreeScatter {
  readonly #heap: DeviceHeap;
  readonly #kernels: Kernels;
  /** Zeros between calls. */
  #heads: Span | undefined;
  #work: Span | undefined;
  /** The tree whose runs are at the start of the workspace. */
  #tree: SumTree | undefined;

  constructor(heap: DeviceHeap, kernels: Kernels) {
    this.#heap = heap;
    this.#kernels = kernels;
  }

  /** Takes the workspace of a call with these arguments. */
  reserve({ cols, table }: ScatterAddArgs, tree: SumTree): void {
    if (cols === 0) return;
    const ids = Math.floor(table.length / cols), plan = scatterPlan(tree);
    const sums = padded(plan.runs.length) + padded((plan.depth + 1) * cols);
    const length = sums + 2 * MAX_DEPTH + 2 * plan.rows;
    if (this.#heads === undefined || this.#heads.length < ids) {
      this.#heads = this.#replace(this.#heads, ids);
      if (this.#heap.memory !== undefined) this.#heap.i32(this.#heads).fill(0);
    }
    if (this.#work === undefined || this.#work.length < length) {
      this.#work = this.#replace(this.#work, length);
      this.#tree = undefined;
    }
  }

  /** Adds the sum of the rows of each id to its row of the table. */
  run(args: ScatterAddArgs, tree: SumTree): void {
    this.reserve(args, tree);
    const { runs, depth } = scatterPlan(tree), { cols } = args, base = this.#work!.byteOffset;
    if (this.#tree !== tree) {
      this.#heap.i32(this.#work!).set(runs);
      this.#tree = tree;
    }
    const slots = base + 4 * padded(runs.length), stack = slots + 4 * padded((depth + 1) * cols);
    this.#kernels.scatterTree(
      base,
      runs.length / 3,
      args.ids.byteOffset,
      args.x.byteOffset,
      args.table.byteOffset,
      this.#heads!.byteOffset,
      slots,
      stack,
      stack + 8 * MAX_DEPTH,
      cols,
    );
  }

  #replace(old: Span | undefined, length: number): Span {
    if (old !== undefined) this.#heap.free(old);
    return this.#heap.allocate("sums of scatterAdd", length, "workspace", "i32");
  }
}

/** Whole cache lines. */
function padded(length: number): number {
  return Math.ceil(length / 16) * 16;
}

/**
 * Adds to a module: `scatterTree(runs, numRuns, ids, x, table, heads, slots, stack, nodes, cols)` over the workspace of
 * {@link TreeScatter}: `heads` [ids] has the first row of each id, plus 1; `nodes` [rows] the next row of the same id,
 * plus 1, and the code of its leaf; `stack` the address of each open partial sum and what parts it from the next;
 * `slots` [depth + 1, cols] those partial sums that have two terms or more.
 *
 * Addresses are in bytes, sizes in elements.
 */
export function addTreeScatter(module: ModuleBuilder): void {
  const addRow = module.func(
    "_addRow",
    parameters("i32", "a", "b", "out", "cols"),
    (k, { a, b, out, cols }) => {
      k.vectors(cols, (v) => v.store(out, v.load(a).add(v.load(b))));
    },
  );
  const names = ["runs", "numRuns", "ids", "x", "table", "heads", "slots", "stack", "nodes", "cols"] as const;
  module.func("scatterTree", parameters("i32", ...names), (k, p) => {
    const rowBytes = k.i32(p.cols.shl(2));
    linkRows(k, p);
    eachRow(k, p.numRuns, [[p.runs, 12]], () => {
      const row = k.i32(load.i32(p.runs)), end = k.i32(load.i32(p.runs, { offset: 4 }));
      k.while(row.ltS(end), () => {
        const id = k.i32(load.i32(p.ids.add(row.shl(2)))), head = k.i32(p.heads.add(id.shl(2)));
        k.if(id.geS(0), () =>
          k.if(load.i32(head).eq(row.add(1)), () => {
            k.storeI32(head, 0);
            const sum = sumOf(k, p, { row, rowBytes, addRow }), to = k.i32(p.table.add(id.mul(rowBytes)));
            k.call(addRow, [to, sum, to, p.cols]);
          }));
        row.set(row.add(1));
      });
    });
  });
}

type Params = Readonly<
  Record<"runs" | "numRuns" | "ids" | "x" | "heads" | "slots" | "stack" | "nodes" | "cols", I32Local>
>;

/** From the last row of the tree to the first, so that lists are in its order. */
function linkRows(k: Kernel, { runs, numRuns, ids, heads, nodes }: Params): void {
  const run = k.i32(runs.add(numRuns.mul(12)));
  k.while(run.gtU(runs), () => {
    run.set(run.sub(12));
    const start = k.i32(load.i32(run)), row = k.i32(load.i32(run, { offset: 4 }));
    k.while(row.gtS(start), () => {
      row.set(row.sub(1));
      const id = k.i32(load.i32(ids.add(row.shl(2))));
      k.if(id.geS(0), () => {
        const head = k.i32(heads.add(id.shl(2))), node = k.i32(nodes.add(row.shl(3)));
        k.storeI32(node, load.i32(head));
        k.storeI32(node, load.i32(run, { offset: 8 }), { offset: 4 });
        k.storeI32(head, row.add(1));
      });
    });
  });
}

interface Chain {
  /** First row of an id. */
  readonly row: I32;
  readonly rowBytes: I32;
  readonly addRow: FuncRef;
}

/** Address of the sum of the rows that are linked from `row`. */
function sumOf(
  k: Kernel,
  { x, slots, stack, nodes, cols }: Params,
  { row, rowBytes, addRow }: Chain,
): I32Local {
  const top = k.i32(x.add(row.mul(rowBytes))), slot = k.i32(slots), open = k.i32(stack);
  const node = k.i32(nodes.add(row.shl(3)));
  const code = k.i32(load.i32(node, { offset: 4 })), next = k.i32(load.i32(node));
  const mergeTop = () => {
    open.set(open.sub(8));
    slot.set(slot.sub(rowBytes));
    k.call(addRow, [load.i32(open), top, slot, cols]);
    top.set(slot);
  };
  k.while(next, () => {
    next.set(next.sub(1));
    const term = k.i32(x.add(next.mul(rowBytes)));
    node.set(nodes.add(next.shl(3)));
    const parting = k.i32(xor(code, load.i32(node, { offset: 4 })));
    k.if(parting, () => {
      k.while(open.gtU(stack).and(load.i32(open.sub(4)).ltU(parting)), mergeTop);
      k.storeI32(open, top);
      k.storeI32(open, parting, { offset: 4 });
      open.set(open.add(8));
      slot.set(slot.add(rowBytes));
      top.set(term);
    }, () => {
      k.call(addRow, [top, term, slot, cols]);
      top.set(slot);
    });
    code.set(load.i32(node, { offset: 4 }));
    next.set(load.i32(node));
  });
  k.while(open.gtU(stack), mergeTop);
  return top;
}

function xor(a: I32, b: I32): I32 {
  return new I32([...a.code, ...b.code, 0x73]);
}
