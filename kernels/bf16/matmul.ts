import type { Epilogue, MatmulArgs } from "../arguments/product_arguments.ts";
import type { Backend } from "../backend.ts";
import { type Bf16Staging, type BlockSpan, isBf16 } from "./staging.ts";
import { DTYPE_BYTES, type Span } from "../memory/span.ts";
import { checkMatmul } from "../arguments/check_matmul.ts";

/** Rows, columns and terms of a block: with all three, 3 MiB are staged. A multiple of the blocks of `wasm/matmul.ts`. */
const BLOCK_ROWS = 480, BLOCK_COLUMNS = 512, BLOCK_TERMS = 512;
/** Elements of a block of A or B where the terms cannot be cut; it has 96 rows or columns at least. */
const LONG_ELEMENTS = 262144, MIN_SIDE = 96;

/** An operand: its elements as stored rows, and the block of it that is computed with. */
interface Operand {
  readonly span: Span;
  readonly ld: number;
  readonly block: BlockSpan;
  readonly isStaged: boolean;
}

/**
 * Products whose operands may be bf16, block by block: a block of A, of B and of C is staged, and C is rounded when all
 * its terms are in. The bits are those of float32 operands of the same values, rounded once, as every sum is a chain.
 *
 * Cost: A is widened for each 512 columns of C, B for each 480 rows.
 */
export class Bf16Matmul {
  readonly #inner: Backend;
  readonly #staging: Bf16Staging;

  /** Multiplies with `inner`. */
  constructor(inner: Backend, staging: Bf16Staging) {
    this.#inner = inner;
    this.#staging = staging;
  }

  /** Runs all products of a batch. */
  run(args: MatmulArgs): void {
    const { a, b, c, epilogue } = args, pre = preOf(epilogue), bias = biasOf(epilogue);
    if (![a, b, c, pre, bias].some(isBf16)) return this.#inner.matmul(args);
    checkMatmul(args);
    const blocks = blockSizes(args), isWide = isBf16(c) || isBf16(pre);
    this.#staging.begin([
      isBf16(a) ? blocks.m * blocks.k : 0,
      isBf16(b) ? blocks.n * blocks.k : 0,
      isWide ? blocks.m * blocks.n : 0,
      isWide && pre !== undefined ? blocks.m * blocks.n : 0,
      isBf16(bias) ? blocks.n : 0,
    ]);
    const product = new BlockProduct(args, blocks, this.#staging);
    for (let i = 0; i < (args.batch ?? 1); i++) product.run(i, this.#inner);
  }
}

interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Terms stay together where something follows the sum, or its order is given. */
function blockSizes({ m, n, k, epilogue, tree }: MatmulArgs): Sizes {
  const isCut = epilogue === undefined && tree === undefined, terms = isCut ? Math.min(k, BLOCK_TERMS) : k;
  const side = Math.max(MIN_SIDE, Math.floor(LONG_ELEMENTS / Math.max(1, terms) / MIN_SIDE) * MIN_SIDE);
  return { m: Math.min(m, BLOCK_ROWS, side), n: Math.min(n, BLOCK_COLUMNS, side), k: terms };
}

/** The arguments of one call, block by block; built once a call and changed in place. */
class BlockProduct {
  readonly #args: MatmulArgs;
  readonly #sizes: Sizes;
  readonly #staging: Bf16Staging;
  readonly #a: Operand;
  readonly #b: Operand;
  readonly #c: Operand;
  readonly #pre: Operand | undefined;
  readonly #bias: Operand | undefined;
  readonly #epilogue: Epilogue | undefined;

  constructor(args: MatmulArgs, sizes: Sizes, staging: Bf16Staging) {
    const { m, n, k, a, b, c, epilogue, transposeA, transposeB } = args, ldc = args.ldc ?? n;
    this.#args = args;
    this.#sizes = sizes;
    this.#staging = staging;
    const pre = preOf(epilogue), bias = biasOf(epilogue);
    // These two share their distances.
    const isWide = isBf16(c) || isBf16(pre);
    this.#a = operand(staging, a, args.lda ?? (transposeA ? m : k), sizes.m * sizes.k);
    this.#b = operand(staging, b, args.ldb ?? (transposeB ? k : n), sizes.n * sizes.k);
    this.#c = operand(staging, c, ldc, sizes.m * sizes.n, isWide);
    this.#pre = pre && operand(staging, pre, ldc, sizes.m * sizes.n, isWide);
    this.#bias = bias && operand(staging, bias, 0, sizes.n);
    this.#epilogue = epilogue && {
      ...epilogue,
      ...(this.#pre && { pre: this.#pre.block }),
      ...(this.#bias && { bias: this.#bias.block }),
    };
  }

  /** The product at a place of the batch. */
  run(place: number, inner: Backend): void {
    const { m, n, k, strideA = m * k, strideB = k * n, strideC = m * n } = this.#args, sizes = this.#sizes;
    const starts = { a: place * strideA, b: place * strideB, c: place * strideC };
    for (let j = 0; j < n; j += sizes.n) {
      const cols = Math.min(sizes.n, n - j);
      if (this.#bias !== undefined) this.#load(this.#bias, j, 1, cols);
      for (let i = 0; i < m; i += sizes.m) {
        const rows = Math.min(sizes.m, m - i), isFirst = i === 0;
        this.#block(inner, starts, { i, j, rows, cols, isFirst });
      }
    }
  }

  #block(
    inner: Backend,
    starts: { a: number; b: number; c: number },
    { i, j, rows, cols, isFirst }: { i: number; j: number; rows: number; cols: number; isFirst: boolean },
  ): void {
    const { k, accumulate = false, transposeA, transposeB, epilogue, tree } = this.#args;
    const a = this.#a, b = this.#b, c = this.#c, pre = this.#pre, at = starts.c + i * c.ld + j;
    this.#load(c, at, rows, cols, accumulate);
    if (pre !== undefined) this.#load(pre, at, rows, cols, epilogue?.kind === "geluGradient");
    // Also without a term: the sum is 0 then.
    for (let p = 0; p === 0 || p < k; p += Math.max(1, this.#sizes.k)) {
      const terms = Math.min(this.#sizes.k, k - p);
      if (transposeA) this.#load(a, starts.a + p * a.ld + i, terms, rows);
      else this.#load(a, starts.a + i * a.ld + p, rows, terms);
      // All terms of B's columns stay staged while the rows of A go by.
      if (isFirst || terms < k || !b.isStaged) {
        if (transposeB) this.#load(b, starts.b + j * b.ld + p, cols, terms);
        else this.#load(b, starts.b + p * b.ld + j, terms, cols);
      }
      inner.matmul({
        ...{ m: rows, n: cols, k: terms, a: a.block, b: b.block, c: c.block, transposeA, transposeB, tree },
        lda: a.isStaged ? (transposeA ? rows : terms) : a.ld,
        ldb: b.isStaged ? (transposeB ? terms : cols) : b.ld,
        ldc: c.isStaged ? cols : c.ld,
        ...{ accumulate: accumulate || p > 0, epilogue: this.#epilogue },
      });
    }
    this.#store(c, at, rows, cols);
    if (pre !== undefined && epilogue?.kind === "gelu") this.#store(pre, at, rows, cols);
  }

  #load(
    { span, ld, block, isStaged }: Operand,
    start: number,
    rows: number,
    cols: number,
    isRead = true,
  ): void {
    if (!isStaged) {
      block.byteOffset = span.byteOffset + DTYPE_BYTES[span.dtype] * start;
      block.length = Math.max(0, span.length - start);
      return;
    }
    block.length = rows * cols;
    if (isRead) this.#staging.widenRows({ span, start, ld, rows, cols }, block);
  }

  #store({ span, ld, block, isStaged }: Operand, start: number, rows: number, cols: number): void {
    if (isStaged) this.#staging.narrowRows(block, { span, start, ld, rows, cols });
  }
}

function operand(
  staging: Bf16Staging,
  span: Span,
  ld: number,
  length: number,
  isStaged = isBf16(span),
): Operand {
  return { span, ld, isStaged, block: isStaged ? staging.take(length) : { ...span } };
}

function preOf(epilogue: Epilogue | undefined): Span | undefined {
  return epilogue === undefined || epilogue.kind === "bias" ? undefined : epilogue.pre;
}

function biasOf(epilogue: Epilogue | undefined): Span | undefined {
  return epilogue === undefined || epilogue.kind === "geluGradient" ? undefined : epilogue.bias;
}
