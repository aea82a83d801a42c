import type { Epilogue, MatmulArgs } from "../arguments/product_arguments.ts";
import { checkMatmul } from "../arguments/check_matmul.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";
import type { SumTree } from "../arguments/sum_tree.ts";
import { WeightProducts } from "../weights/wasm.ts";
import type { Kernels } from "./builder.ts";
import { type Tile, WIDE_TILE } from "./gemm.ts";
import { emptyProduct, type FinishBlock, type Product } from "./product.ts";
import { type PackingBuffers, TREE_A_LENGTH, TreeMatmul } from "./tree_matmul.ts";

/** Most k of a packed block: a panel of 16 columns fills three quarters of a 32 KiB L1 cache. */
const KC = 384;
/** Most rows of A per packed block: 180 KiB of A stay in L2. */
const MC = 120;
/** Most columns of B per packed block, which is read once for each block of A. */
const NC = 1536;
/** Columns of C that are finished at a time: with MC rows, 240 KiB of L2. A multiple of the columns of every tile. */
const FINISHED_COLUMNS = 512;
/** Fewest columns for which packing A costs less than it gains. */
const PACKED_COLUMNS = 96;
/** Most rows of a product that takes B as it is: generation has one. */
const UNPACKED_ROWS = 4;
/** Most columns of a row whose sums are kept in registers. */
const NARROW_COLUMNS = 128;
/** Packed weights have a multiple of so many outputs: whole panels of every tile. */
const PACKED_OUTPUTS = 16;

/** Rows `ic .. ic + mc`, terms `pc .. pc + kc` and columns `jc .. jc + nc` of a product. */
interface Block {
  readonly ic: number;
  readonly mc: number;
  readonly pc: number;
  readonly kc: number;
  readonly jc: number;
  readonly nc: number;
}

/**
 * Drives the GEMM kernels over blocks that fit the caches.
 *
 * Cost: 2 m n k operations; B is packed once, A once for every NC columns, if there are enough of them. Nothing is
 * packed for a few rows.
 */
export class Matmul {
  readonly #heap: DeviceHeap;
  readonly #kernels: Kernels;
  readonly #tile: Tile;
  readonly #buffers: PackingBuffers;
  readonly #scratch: number;
  readonly #product = emptyProduct();
  readonly #trees: TreeMatmul;
  readonly #weights: WeightProducts;

  constructor(heap: DeviceHeap, kernels: Kernels, tile: Tile) {
    this.#heap = heap;
    this.#kernels = kernels;
    this.#tile = tile;
    // Large enough for either tile: what a run allocates must not depend on which of them is faster.
    const { rows, vectors } = WIDE_TILE;
    this.#buffers = {
      a: heap.allocate("packed A of matmul", Math.max(TREE_A_LENGTH, (MC + rows) * KC), "workspace")
        .byteOffset,
      b: heap.allocate("packed B of matmul", (NC + 4 * vectors) * KC, "workspace").byteOffset,
    };
    this.#scratch = heap.allocate("edge tiles of matmul", 8 * rows * vectors, "workspace").byteOffset;
    this.#weights = new WeightProducts(heap);
    this.#trees = new TreeMatmul(heap, kernels, { tile, buffers: this.#buffers });
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
      const finish = epilogue && this.#finisher(epilogue, args);
      if (args.packedB === "f32") this.#packed(p, finish);
      else if (args.packedB !== undefined) this.#weights.multiply(p, args.packedB, finish);
      else this.multiply(p, args.tree, finish);
    }
  }

  /** Packs a weight [outputs][inputs] in its place: panels of all inputs. */
  packWeight(weight: Span, outputs: number, inputs: number): boolean {
    const { packColumns } = this.#kernels, { b } = this.#buffers, width = 4 * this.#tile.vectors;
    if (outputs % PACKED_OUTPUTS !== 0 || width * inputs > NC * KC) return false;
    const bytes = 4 * width * inputs, moved = new Uint8Array(this.#heap.memory?.buffer ?? new ArrayBuffer(0));
    for (let panel = weight.byteOffset, left = outputs; left > 0; left -= width, panel += bytes) {
      packColumns(panel, 4 * inputs, b, inputs, width, 0);
      moved.copyWithin(panel, b, b + bytes);
    }
    return true;
  }

  /** Takes the workspace of a product over such a tree, or with such weights. */
  reserve({ tree, packedB, k }: Pick<MatmulArgs, "tree" | "packedB" | "k">): void {
    if (tree !== undefined) this.#trees.reserve(tree);
    if (packedB !== undefined && packedB !== "f32") this.#weights.reserve(k);
  }

  /** Computes one product; without a tree every sum is one chain. */
  multiply(p: Product, tree?: SumTree, finish?: FinishBlock): void {
    if (p.k === 0) return this.#emptySum(p, finish);
    if (tree !== undefined) return this.#trees.multiply(p, tree, finish);
    if (p.m <= UNPACKED_ROWS && !p.transposeA && !p.transposeB) return this.#unpacked(p, finish);
    const { packColumns, packRows } = this.#kernels, { b } = this.#buffers;
    const ncs = evenPart(p.n, NC, 16), kcs = evenPart(p.k, KC, 4), mcs = evenPart(p.m, MC, this.#tile.rows);
    for (let jc = 0; jc < p.n; jc += ncs) {
      const nc = Math.min(ncs, p.n - jc);
      for (let pc = 0; pc < p.k; pc += kcs) {
        const kc = Math.min(kcs, p.k - pc);
        if (p.transposeB) packColumns(p.b + 4 * (jc * p.ldb + pc), 4 * p.ldb, b, kc, nc, 0);
        else packRows(p.b + 4 * (pc * p.ldb + jc), 4 * p.ldb, b, kc, nc, 0);
        for (let ic = 0; ic < p.m; ic += mcs) {
          this.#rows(p, { ic, mc: Math.min(mcs, p.m - ic), pc, kc, jc, nc }, finish);
        }
      }
    }
  }

  /** Panels of all k: read once for each block of rows, and not at all by the rest of the caches. */
  #packed(p: Product, finish?: FinishBlock): void {
    if (p.k === 0) return this.#emptySum(p, finish);
    const kernels = this.#kernels, { rows } = this.#tile;
    if (p.m === 1) {
      kernels.gemmRow(p.a, p.b, p.c, p.n, p.k);
      return finish?.(p.c, p.ldc, 1, p.n, 0);
    }
    const gemmRows = p.m < rows ? kernels[`gemmRows${p.m}`] : kernels.gemmRows;
    for (let ic = 0; ic < p.m; ic += MC) {
      const mc = Math.min(MC, p.m - ic), a = p.a + 4 * ic * p.lda, c = p.c + 4 * ic * p.ldc;
      gemmRows(a, 4 * p.lda, p.b, c, 4 * p.ldc, mc, p.n, p.k, this.#scratch, 0);
      finish?.(c, p.ldc, mc, p.n, 0);
    }
  }

  /** Rows of a block of C: adds kc terms, and finishes the sums if those were the last. */
  #rows(p: Product, { ic, mc, pc, kc, jc, nc }: Block, finish?: FinishBlock): void {
    const { packStrips, packStripRows, gemmPacked, gemmRows } = this.#kernels, buffers = this.#buffers;
    const isPacked = p.transposeA || nc >= PACKED_COLUMNS, lda = 4 * p.lda;
    const adds = pc > 0 || p.accumulate ? 1 : 0, isLast = finish !== undefined && pc + kc === p.k;
    const ownA = p.a + 4 * (p.transposeA ? pc * p.lda + ic : ic * p.lda + pc);
    if (isPacked) (p.transposeA ? packStrips : packStripRows)(ownA, lda, buffers.a, kc, mc, 0);
    const kernel = isPacked ? gemmPacked : gemmRows, a = isPacked ? buffers.a : ownA;
    const width = isLast ? FINISHED_COLUMNS : nc;
    for (let j = 0; j < nc; j += width) {
      const cols = Math.min(width, nc - j), c = p.c + 4 * (ic * p.ldc + jc + j);
      kernel(a, lda, buffers.b + 4 * j * kc, c, 4 * p.ldc, mc, cols, kc, this.#scratch, adds);
      if (isLast) finish(c, p.ldc, mc, cols, jc + j);
    }
  }

  /** A few rows: what is used so few times is not packed. */
  #unpacked(p: Product, finish?: FinishBlock): void {
    const kernels = this.#kernels,
      add = p.n <= NARROW_COLUMNS ? kernels.addNarrowProduct : kernels.addRowProduct;
    if (!p.accumulate) kernels.zeroBlock(p.c, 4 * p.ldc, p.m, p.n);
    for (let i = 0; i < p.m; i++) {
      add(p.a + 4 * i * p.lda, p.b, 4 * p.ldb, p.c + 4 * i * p.ldc, p.n, p.k);
    }
    finish?.(p.c, p.ldc, p.m, p.n, 0);
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

/** The size of as few equal parts of at most `most` as there can be; a multiple of `step`. */
function evenPart(size: number, most: number, step: number): number {
  return Math.ceil(size / Math.ceil(size / most) / step) * step;
}
