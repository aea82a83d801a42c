import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";
import type { SumTree } from "../arguments/sum_tree.ts";
import type { Kernels } from "./builder.ts";
import { type Tile, WIDE_TILE } from "./gemm.ts";
import type { FinishBlock, Product } from "./product.ts";
import { TREE_MODES, type TreeMode } from "./tree_gemm.ts";
import { MAX_DEPTH, MAX_RUNS, modeOf, type TreeGroup, treeGroups } from "./tree_groups.ts";

/** Floats of packed A that trees need: 48 rows at the greatest depth, 192 KiB. */
export const TREE_A_LENGTH = 48 * MAX_DEPTH;
/** Columns of B per packed block: 1.5 MiB at the greatest depth. */
const NC = 384;
/** Most columns of a block: fewer k leave room for more. */
const MAX_NC = 512;
/** Most rows of A in a block. */
const MAX_MC = 192;
/** Rows of a block whose tree is cut into groups: partial blocks are kept for as many. */
const GROUPED_ROWS = 192;
/** Tiles on the stack of the micro-kernel: a tree of MAX_RUNS leaves needs 10, and two are for edges. */
const STACK_TILES = 16;

/** Addresses of memory for packed operands: at least TREE_A_LENGTH and NC * MAX_DEPTH floats. */
export interface PackingBuffers {
  readonly a: number;
  readonly b: number;
}

/**
 * Matrix products whose sums over k are trees. As `Matmul`, but B and A are packed for all of k, so that a tile of C is
 * finished, leaf by leaf, before the next one is begun.
 *
 * Cost: 2 m n k operations, and per leaf of a tile about what two more k cost.
 */
export class TreeMatmul {
  readonly #heap: DeviceHeap;
  readonly #kernels: Kernels;
  readonly #tile: Tile;
  readonly #buffers: PackingBuffers;
  readonly #stack: number;
  readonly #table: number;
  readonly #tableView: Int32Array | undefined;
  /** Partial blocks, where the tree is cut. */
  #partial: Span | undefined;

  constructor(heap: DeviceHeap, kernels: Kernels, options: { tile: Tile; buffers: PackingBuffers }) {
    this.#heap = heap;
    this.#kernels = kernels;
    this.#tile = options.tile;
    this.#buffers = options.buffers;
    const stack = STACK_TILES * 4 * WIDE_TILE.rows * WIDE_TILE.vectors;
    this.#stack = heap.allocate("stack of tiles of tree matmul", stack, "workspace").byteOffset;
    const table = heap.allocate("runs of tree matmul", 3 * MAX_RUNS, "workspace", "i32");
    this.#table = table.byteOffset;
    this.#tableView = heap.memory && heap.i32(table);
  }

  /** Computes one product; `finish` gets each finished block of C. */
  multiply(p: Product, tree: SumTree, finish?: FinishBlock): void {
    const groups = treeGroups(tree), mode = p.accumulate ? "add" : "set";
    if (groups.length > 1) return this.#multiplyGroups(p, groups, finish);
    const [group] = groups, nc = this.#columns(group);
    this.#writeTable(p, group);
    for (let jc = 0; jc < p.n; jc += nc) {
      const cols = Math.min(nc, p.n - jc), c = p.c + 4 * jc;
      this.#packB(p, group, jc, cols);
      this.#rows(p, group, { first: 0, rows: p.m, cols, c, ldc: p.ldc, mode });
      finish?.(c, p.ldc, p.m, cols, jc);
    }
  }

  /** Takes the workspace of a product over such a tree. */
  reserve(tree: SumTree): void {
    const groups = treeGroups(tree);
    if (groups.length > 1) this.#reservePartial(groups);
  }

  #multiplyGroups(p: Product, groups: readonly TreeGroup[], finish?: FinishBlock): void {
    const partial = this.#reservePartial(groups), blockBytes = 4 * GROUPED_ROWS * NC, kernels = this.#kernels;
    for (let ic = 0; ic < p.m; ic += GROUPED_ROWS) {
      const rows = Math.min(GROUPED_ROWS, p.m - ic);
      for (let jc = 0; jc < p.n; jc += NC) {
        const cols = Math.min(NC, p.n - jc), c = p.c + 4 * (ic * p.ldc + jc);
        let block = partial - blockBytes;
        for (const group of groups) {
          if (!group.isContinued) block += blockBytes;
          this.#writeTable(p, group);
          this.#packB(p, group, jc, cols);
          this.#rows(p, group, { first: ic, rows, cols, c: block, ldc: NC, mode: modeOf(group) });
          for (let merge = 0; merge < group.merges; merge++) {
            block -= blockBytes;
            kernels.addBlock(block, 4 * NC, block + blockBytes, 4 * NC, rows, cols);
          }
        }
        if (!p.accumulate) kernels.zeroBlock(c, 4 * p.ldc, rows, cols);
        kernels.addBlock(c, 4 * p.ldc, block, 4 * NC, rows, cols);
        finish?.(c, p.ldc, rows, cols, jc);
      }
    }
  }

  /** Rows `first .. first + rows` of a block of C that lies at `c`. */
  #rows(
    p: Product,
    group: TreeGroup,
    block: { first: number; rows: number; cols: number; c: number; ldc: number; mode: TreeMode },
  ): void {
    const kernels = this.#kernels,
      { depth } = group,
      table = p.transposeA ? group.packedTable : group.rowTable;
    const { first, rows, cols, ldc } = block;
    const { rows: MR } = this.#tile, most = Math.floor(TREE_A_LENGTH / depth / MR) * MR;
    const mc = Math.min(Math.ceil(MAX_MC / MR) * MR, most), start = this.#table;
    for (let i = 0; i < rows; i += mc) {
      const count = Math.min(mc, rows - i), kernel = p.transposeA ? kernels.treePacked : kernels.treeRows;
      if (p.transposeA) this.#packA(p, group, first + i, count);
      kernel(
        p.transposeA ? this.#buffers.a : p.a + 4 * (first + i) * p.lda,
        4 * p.lda,
        this.#buffers.b,
        block.c + 4 * i * ldc,
        4 * ldc,
        count,
        cols,
        start,
        start + 4 * table.length,
        depth,
        this.#stack,
        TREE_MODES[block.mode],
      );
    }
  }

  #packA(p: Product, { runs, depth }: TreeGroup, first: number, count: number): void {
    const width = 4 * this.#tile.rows;
    let to = this.#buffers.a;
    for (const { start, length } of runs) {
      const from = p.a + 4 * (start * p.lda + first);
      this.#kernels.packStrips(from, 4 * p.lda, to, length, count, (depth - length) * width);
      to += length * width;
    }
  }

  #packB(p: Product, { runs, depth }: TreeGroup, first: number, count: number): void {
    const width = 16 * this.#tile.vectors, { packColumns, packRows } = this.#kernels;
    let to = this.#buffers.b;
    for (const { start, length } of runs) {
      const pack = p.transposeB ? packColumns : packRows;
      const from = p.b + 4 * (p.transposeB ? first * p.ldb + start : start * p.ldb + first);
      pack(from, 4 * p.ldb, to, length, count, (depth - length) * width);
      to += length * width;
    }
  }

  #writeTable(p: Product, { rowTable, packedTable }: TreeGroup): void {
    this.#tableView!.set(p.transposeA ? packedTable : rowTable);
  }

  /** Columns of a block of B that fit the packing buffer. */
  #columns({ depth }: TreeGroup): number {
    const width = 4 * this.#tile.vectors;
    return Math.min(MAX_NC, Math.floor(NC * MAX_DEPTH / depth / width) * width);
  }

  /** Address of as many partial blocks as are open at a time. */
  #reservePartial(groups: readonly TreeGroup[]): number {
    let open = 0, most = 0;
    for (const { isContinued, merges } of groups) {
      if (!isContinued) most = Math.max(most, ++open);
      open -= merges;
    }
    const length = most * GROUPED_ROWS * NC;
    if (this.#partial === undefined || this.#partial.length < length) {
      if (this.#partial !== undefined) this.#heap.free(this.#partial);
      this.#partial = this.#heap.allocate("partial blocks of tree matmul", length, "workspace");
    }
    return this.#partial.byteOffset;
  }
}
