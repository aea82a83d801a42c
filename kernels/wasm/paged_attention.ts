import {
  checkPagedAttention,
  eachPagedRow,
  type PagedAttentionArgs,
  RUN_WORDS,
} from "../arguments/paged_arguments.ts";
import type { DeviceHeap } from "../memory/heap.ts";
import type { Span } from "../memory/span.ts";
import { BLOCK_QUERIES, multiply, scoresStride } from "./attention_blocks.ts";
import type { Kernels } from "./builder.ts";
import type { Matmul } from "./matmul.ts";

/** Rows of one head of keys, and what they see. Addresses and leading dimensions as kernels take them. */
interface Rows {
  readonly q: number;
  readonly ldQ: number;
  readonly out: number;
  readonly ldOut: number;
  readonly rows: number;
  /** Keys that the first row sees; each later row sees `step` more. */
  readonly visible: number;
  readonly step: 0 | 1;
  /** Head of keys and values. */
  readonly kvHead: number;
  /** Place of the sequence's pages. */
  readonly table: number;
}

/**
 * Attention to keys in pages: scores of a page at a time, one softmax over all keys of a row, and the weighted sum as one
 * chain over pages. Rows of a chunk go in blocks; of a single row, all heads that read the same keys.
 *
 * Cost: 4 K heads headDim operations for each row with K keys; workspace of 48 rows of scores.
 */
export class PagedAttention {
  readonly #heap: DeviceHeap;
  readonly #kernels: Kernels;
  readonly #matmul: Matmul;
  #scores: Span | undefined;
  #rowWords: Span | undefined;

  constructor(heap: DeviceHeap, kernels: Kernels, matmul: Matmul) {
    this.#heap = heap;
    this.#kernels = kernels;
    this.#matmul = matmul;
  }

  /** Takes the workspace of a call with these arguments. */
  reserve({ maxKeys }: Pick<PagedAttentionArgs, "maxKeys">): { scores: Span; rowWords: Span } {
    const length = BLOCK_QUERIES * scoresStride({ keys: maxKeys }), name = "scores of attention to pages";
    if (this.#scores === undefined || this.#scores.length < length) {
      if (this.#scores !== undefined) this.#heap.free(this.#scores);
      this.#scores = this.#heap.allocate(name, length, "workspace");
    }
    this.#rowWords ??= this.#heap.allocate(
      "rows of attention to pages",
      2 * BLOCK_QUERIES,
      "workspace",
      "i32",
    );
    return { scores: this.#scores, rowWords: this.#rowWords };
  }

  /** Fills `out` for the rows of all runs. */
  run(args: PagedAttentionArgs): void {
    const { heads, kvHeads, headDim, ldQ, ldOut, q, out } = args, group = heads / kvHeads;
    const runs = this.#heap.i32(args.batch.runs), tables = this.#heap.i32(args.batch.tables);
    checkPagedAttention(args, { runs, tables });
    this.#append(args, { runs, tables });
    for (let at = 1; at < 1 + RUN_WORDS * runs[0]; at += RUN_WORDS) {
      const row = runs[at], rows = runs[at + 1], position = runs[at + 2], table = runs[at + 3];
      const isSingle = rows === 1;
      for (let head = 0; head < heads; head += isSingle ? group : 1) {
        const kvHead = Math.floor(head / group);
        for (let first = 0; first < rows; first += BLOCK_QUERIES) {
          const q0 = q.byteOffset + 4 * ((row + first) * ldQ + head * headDim);
          const out0 = out.byteOffset + 4 * ((row + first) * ldOut + head * headDim);
          const visible = position + first + 1;
          const own: Rows = isSingle
            ? { q: q0, ldQ: headDim, out: out0, ldOut: headDim, rows: group, visible, step: 0, kvHead, table }
            : {
              ...{ q: q0, ldQ, out: out0, ldOut, rows: Math.min(BLOCK_QUERIES, rows - first), visible },
              ...{ step: 1, kvHead, table },
            };
          for (let part = 0; part < own.rows; part += BLOCK_QUERIES) {
            this.#attend(args, rowsFrom(own, part), tables);
          }
        }
      }
    }
  }

  /** Puts new keys and values into their pages. */
  #append(
    { k, ldK, v, ldV, keyPages, valuePages, pageTokens, kvHeads, headDim }: PagedAttentionArgs,
    batch: { readonly runs: Int32Array; readonly tables: Int32Array },
  ): void {
    const { placeColumn, copy } = this.#kernels,
      width = kvHeads * headDim,
      pageBytes = 4 * pageTokens * width;
    eachPagedRow(batch, pageTokens, (row, page, place) => {
      const keys = keyPages.byteOffset + page * pageBytes + 4 * place;
      placeColumn(k.byteOffset + 4 * row * ldK, keys, width, 4 * pageTokens);
      copy(v.byteOffset + 4 * row * ldV, valuePages.byteOffset + page * pageBytes + 4 * place * width, width);
    });
  }

  #attend(args: PagedAttentionArgs, own: Rows, tables: Int32Array): void {
    const { headDim, pageTokens, kvHeads, scale, window, keyPages, valuePages } = args;
    const { rows, visible, step } = own, { scores, rowWords } = this.reserve(args);
    const keys = visible + step * (rows - 1), ld = scoresStride({ keys }), width = kvHeads * headDim;
    // What no row sees is not read: sums begin with the same terms wherever a page or a block begins.
    const from = window === undefined ? 0 : Math.floor(Math.max(0, visible - window) / pageTokens);
    const pageOf = (page: number) => tables[own.table + page] * pageTokens * width,
      head = own.kvHead * headDim;
    const keysOf = (page: number) => keyPages.byteOffset + 4 * (pageOf(page) + head * pageTokens);
    const valuesOf = (page: number) => valuePages.byteOffset + 4 * (pageOf(page) + head);
    const eachPage = (visit: (page: number, count: number, column: number) => void) => {
      for (let page = from; page * pageTokens < keys; page++) {
        const first = page * pageTokens;
        visit(page, Math.min(pageTokens, keys - first), scores.byteOffset + 4 * first);
      }
    };
    const { q, ldQ, out, ldOut } = own, matmul = this.#matmul;
    eachPage((page, count, column) =>
      multiply(matmul, "nn", rows, count, headDim, q, ldQ, keysOf(page), pageTokens, column, ld)
    );
    this.#softmax({ rows, keys, visible, step, ld, scale, window, scores, rowWords });
    eachPage((page, count, column) => {
      const adds = page > from;
      multiply(
        matmul,
        "nn",
        rows,
        headDim,
        count,
        column,
        ld,
        valuesOf(page),
        width,
        out,
        ldOut,
        adds,
      );
    });
  }

  #softmax(
    { rows, keys, visible, step, ld, scale, window, scores, rowWords }:
      & Pick<Rows, "rows" | "visible" | "step">
      & Pick<PagedAttentionArgs, "scale" | "window">
      & { readonly keys: number; readonly ld: number; readonly scores: Span; readonly rowWords: Span },
  ): void {
    const kernels = this.#kernels, logSumExp = rowWords.byteOffset, x = scores.byteOffset;
    if (window === undefined) {
      kernels.causalSoftmax(x, 4 * ld, rows, keys, visible, scale, logSumExp);
      return;
    }
    const words = this.#heap.i32(rowWords);
    for (let r = 0; r < rows; r++) words[BLOCK_QUERIES + r] = Math.max(0, visible + step * r - window);
    kernels.windowSoftmax(x, 4 * ld, rows, keys, visible, scale, logSumExp, logSumExp + 4 * BLOCK_QUERIES);
  }
}

/** At most a block of rows, from one on. */
function rowsFrom(own: Rows, first: number): Rows {
  if (first === 0 && own.rows <= BLOCK_QUERIES) return own;
  const { q, ldQ, out, ldOut, visible, step } = own, rows = Math.min(BLOCK_QUERIES, own.rows - first);
  return {
    ...own,
    q: q + 4 * first * ldQ,
    out: out + 4 * first * ldOut,
    rows,
    visible: visible + step * first,
  };
}
