import type { Epilogue, MatmulArgs } from "../backend.ts";
import type { DeviceHeap } from "../heap.ts";
import { spanByteLength } from "../span.ts";
import type { SumTree } from "../sum_tree.ts";
import type { Kernels } from "./builder.ts";
import { type Tile, WIDE_TILE } from "./gemm.ts";
import { emptyProduct, type FinishBlock, type Product } from "./product.ts";
import { TreeMatmul } from "./tree_matmul.ts";

/** k steps per packed panel: a panel of 16 columns fills half of a 32 KiB L1 cache. */
const KC = 256;
/** Rows of A per block: 96 KiB of A stay in L2. A multiple of the tile's 6 rows. */
const MC = 96;
/** Columns of B per packed block: 512 KiB of L2. */
const NC = 512;

/**
 * Drives the GEMM kernels over blocks that fit the caches.
 *
 * Cost: 2 m n k operations; B is packed once, A only when it is stored transposed.
 */
export class Matmul {
  readonly #kernels: Kernels;
  readonly #packedA: number;
  readonly #packedB: number;
  readonly #scratch: number;
  readonly #product = emptyProduct();
  readonly #trees: TreeMatmul;

  constructor(heap: DeviceHeap, kernels: Kernels, tile: Tile) {
    this.#kernels = kernels;
    // Large enough for either tile: what a run allocates must not depend on which of them is faster.
    const rows = Math.max(tile.rows, WIDE_TILE.rows), vectors = Math.max(tile.vectors, WIDE_TILE.vectors);
    const strips = Math.ceil(MC / rows) * rows, panels = NC + 4 * vectors;
    this.#packedA = heap.allocate("packed A of matmul", strips * KC, "workspace").byteOffset;
    this.#packedB = heap.allocate("packed B of matmul", panels * KC, "workspace").byteOffset;
    this.#scratch = heap.allocate("edge tile of matmul", 4 * rows * vectors, "workspace").byteOffset;
    this.#trees = new TreeMatmul(heap, kernels, tile);
  }

  /** Computes all products of a batch, epilogue included. */
  run(args: MatmulArgs): void {
    checkMatmul(args);
    const { m, n, k, epilogue } = args, p = this.#product;
    const strideA = args.strideA ?? m * k, strideB = args.strideB ?? k * n, strideC = args.strideC ?? m * n;
    p.m = m;
    p.n = n;
    p.k = k;
    p.transposeA = args.transposeA ?? false;
    p.transposeB = args.transposeB ?? false;
    p.lda = args.lda ?? (p.transposeA ? m : k);
    p.ldb = args.ldb ?? (p.transposeB ? k : n);
    p.ldc = args.ldc ?? n;
    p.accumulate = args.accumulate ?? false;
    // GELU with a kept input: the sum goes there, and the activation to C when a block is done.
    const pre = epilogue?.kind === "gelu" ? epilogue.pre : undefined;
    for (let i = 0; i < (args.batch ?? 1); i++) {
      p.a = args.a.byteOffset + 4 * i * strideA;
      p.b = args.b.byteOffset + 4 * i * strideB;
      p.c = (pre ?? args.c).byteOffset + 4 * i * strideC;
      this.multiply(p, args.tree, epilogue && this.#finisher(epilogue, args));
    }
  }

  /** Takes the workspace of a product over such a tree. */
  reserve(tree: SumTree): void {
    this.#trees.reserve(tree);
  }

  /** Computes one product; without a tree every sum is one chain. */
  multiply(p: Product, tree?: SumTree, finish?: FinishBlock): void {
    const kernels = this.#kernels;
    if (p.k === 0) return this.#emptySum(p, finish);
    if (tree !== undefined) return this.#trees.multiply(p, tree, finish);
    for (let jc = 0; jc < p.n; jc += NC) {
      const nc = Math.min(NC, p.n - jc);
      for (let pc = 0; pc < p.k; pc += KC) {
        const kc = Math.min(KC, p.k - pc);
        if (p.transposeB) {
          kernels.packColumns(p.b + 4 * (jc * p.ldb + pc), 4 * p.ldb, this.#packedB, kc, nc, 0);
        } else kernels.packRows(p.b + 4 * (pc * p.ldb + jc), 4 * p.ldb, this.#packedB, kc, nc, 0);
        for (let ic = 0; ic < p.m; ic += MC) {
          const mc = Math.min(MC, p.m - ic), c = p.c + 4 * (ic * p.ldc + jc);
          if (pc === 0 && !p.accumulate) kernels.zeroBlock(c, 4 * p.ldc, mc, nc);
          this.#block(p, ic, mc, pc, kc, c, nc);
          if (finish !== undefined && pc + kc === p.k) finish(c, p.ldc, mc, nc, jc);
        }
      }
    }
  }

  #block(p: Product, ic: number, mc: number, pc: number, kc: number, c: number, nc: number): void {
    const kernels = this.#kernels, ldc = 4 * p.ldc;
    if (p.transposeA) {
      kernels.packStrips(p.a + 4 * (pc * p.lda + ic), 4 * p.lda, this.#packedA, kc, mc, 0);
      kernels.gemmPacked(this.#packedA, 0, this.#packedB, c, ldc, mc, nc, kc, this.#scratch);
    } else {
      kernels.gemmRows(
        p.a + 4 * (ic * p.lda + pc),
        4 * p.lda,
        this.#packedB,
        c,
        ldc,
        mc,
        nc,
        kc,
        this.#scratch,
      );
    }
  }

  /** A sum over nothing is 0. */
  #emptySum(p: Product, finish?: FinishBlock): void {
    if (p.m === 0 || p.n === 0) return;
    if (!p.accumulate) this.#kernels.zeroBlock(p.c, 4 * p.ldc, p.m, p.n);
    finish?.(p.c, p.ldc, p.m, p.n, 0);
  }

  #finisher(epilogue: Epilogue, args: MatmulArgs): FinishBlock {
    const kernels = this.#kernels, out = args.c.byteOffset;
    switch (epilogue.kind) {
      case "bias":
        return (c, ldc, rows, cols, column) =>
          kernels.biasBlock(c, 4 * ldc, rows, cols, epilogue.bias.byteOffset + 4 * column);
      case "gelu": {
        const shift = epilogue.pre === undefined ? 0 : out - epilogue.pre.byteOffset;
        return (c, ldc, rows, cols, column) =>
          kernels.biasGeluBlock(c, c + shift, 4 * ldc, rows, cols, epilogue.bias.byteOffset + 4 * column);
      }
      case "geluGradient": {
        const shift = epilogue.pre.byteOffset - out;
        return (c, ldc, rows, cols) => kernels.geluGradientBlock(c, c + shift, 4 * ldc, rows, cols);
      }
    }
  }
}

/**
 * @throws {RangeError} If a matrix of the arguments is larger than its span.
 * @throws {TypeError} If the product is to be added and has an epilogue: which comes first would be a guess.
 */
export function checkMatmul(args: MatmulArgs): void {
  if (args.accumulate && args.epilogue !== undefined) {
    throw new TypeError(
      `Cannot multiply: accumulate and the epilogue ${args.epilogue.kind} exclude each other`,
    );
  }
  const { m, n, k, a, b, c } = args, last = (args.batch ?? 1) - 1;
  if (last < 0 || m === 0 || n === 0) return;
  const need = (name: string, span: typeof a, rows: number, cols: number, ld: number, stride: number) => {
    const elements = rows === 0 || cols === 0 ? 0 : last * stride + (rows - 1) * ld + cols;
    if (elements > span.length) {
      throw new RangeError(
        `Cannot multiply: ${name} needs ${elements} elements, its span has ${span.length} (${
          spanByteLength(span)
        } bytes)`,
      );
    }
  };
  const [rowsA, colsA] = args.transposeA ? [k, m] : [m, k];
  const [rowsB, colsB] = args.transposeB ? [n, k] : [k, n];
  const terms = args.tree?.leaves.flat().reduce((sum, { length }) => sum + length, 0) ?? k;
  if (terms !== k) throw new RangeError(`Cannot multiply: the tree has ${terms} terms, k is ${k}`);
  need("A", a, rowsA, colsA, args.lda ?? colsA, args.strideA ?? m * k);
  need("B", b, rowsB, colsB, args.ldb ?? colsB, args.strideB ?? k * n);
  need("C", c, m, n, args.ldc ?? n, args.strideC ?? m * n);
}
