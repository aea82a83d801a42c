import type { Span } from "../memory/span.ts";
import { need } from "./check.ts";

/** Words of a run in {@link PagedBatch.runs}. */
export const RUN_WORDS = 4;

/**
 * Rows of several sequences in one pass, as flat arrays that are filled before each.
 *
 * A run is rows of one sequence that follow each other: words `first row`, `rows`, `position` of the first row in its
 * sequence, and `table`, the place in `tables` of the sequence's first page.
 */
export interface PagedBatch {
  /** i32 [1 + 4 R]: the number of runs, and the words of each. */
  readonly runs: Span;
  /** i32: the pages of sequences, in order. */
  readonly tables: Span;
}

/**
 * Puts the keys and values of rows into pages of a pool, and attends to those of their own sequences. Key j of a sequence is
 * number `j mod pageTokens` of its page `floor(j / pageTokens)`. A page of keys is [kvHeads headDim][pageTokens], so that
 * the same element of neighbouring keys lies side by side; one of values is [pageTokens][kvHeads headDim]. Row t of a run
 * sees the keys `0 .. position + t`, its own included.
 *
 * Each result depends on q, the keys and the values alone: not on other rows, on how rows are cut into runs, nor on which
 * pages a sequence has.
 *
 * Source: Kwon et al., PagedAttention, SOSP 2023, section 4.1.
 */
export interface PagedAttentionArgs {
  /** Which rows belong together. */
  readonly batch: PagedBatch;
  /** Heads of q and out. */
  readonly heads: number;
  /** Heads of keys and values: a divisor of `heads`. */
  readonly kvHeads: number;
  /** Elements of a row of a head. */
  readonly headDim: number;
  /** Row t of head h begins at `t * ldQ + h * headDim`. */
  readonly q: Span;
  /** Elements from one row of q to the next. */
  readonly ldQ: number;
  /** Keys of the rows: row t of head h begins at `t * ldK + h * headDim`. */
  readonly k: Span;
  /** Elements from one row of k to the next. */
  readonly ldK: number;
  /** As k. */
  readonly v: Span;
  /** Elements from one row of v to the next. */
  readonly ldV: number;
  /** As q. Rows of no run are not written. */
  readonly out: Span;
  /** Elements from one row of out to the next. */
  readonly ldOut: number;
  /** Keys of all pages. */
  readonly keyPages: Span;
  /** Values of all pages. */
  readonly valuePages: Span;
  /** Keys of a page. */
  readonly pageTokens: number;
  /** Most keys that a row sees: the workspace is as large. */
  readonly maxKeys: number;
  /** Usually 1 / sqrt(headDim). */
  readonly scale: number;
  /** Keys that a row sees, its own included; by default all before it. */
  readonly window?: number;
}

/** Visits all rows of runs, with the page and the place in it of each. */
export function eachPagedRow(
  { runs, tables }: { readonly runs: Int32Array; readonly tables: Int32Array },
  pageTokens: number,
  visit: (row: number, page: number, place: number) => void,
): void {
  for (let at = 1; at < 1 + RUN_WORDS * runs[0]; at += RUN_WORDS) {
    const row = runs[at], rows = runs[at + 1], position = runs[at + 2], table = runs[at + 3];
    for (let t = 0; t < rows; t++) {
      const token = position + t;
      visit(row + t, tables[table + Math.floor(token / pageTokens)], token % pageTokens);
    }
  }
}

/**
 * Checks the arguments of a call.
 *
 * @throws {RangeError} If sizes do not go together, or a run names what is not there.
 */
export function checkPagedAttention(
  args: PagedAttentionArgs,
  { runs, tables }: { readonly runs: Int32Array; readonly tables: Int32Array },
): void {
  const { heads, kvHeads, headDim, pageTokens, maxKeys, keyPages } = args, op = "pagedAttention";
  if (heads % kvHeads !== 0) {
    throw new RangeError(`Cannot run ${op}: kvHeads must divide the ${heads} heads of q, it is ${kvHeads}`);
  }
  const numPages = Math.floor(keyPages.length / (pageTokens * kvHeads * headDim));
  need(op, "valuePages", args.valuePages, numPages * pageTokens * kvHeads * headDim);
  for (let run = 0; run < runs[0]; run++) {
    const [row, rows, position, table] = runs.subarray(1 + RUN_WORDS * run, 1 + RUN_WORDS * (run + 1));
    const keys = position + rows, last = table + Math.ceil(keys / pageTokens);
    if (rows < 1 || position < 0 || keys > maxKeys || table < 0 || last > tables.length) {
      throw new RangeError(
        `Cannot run ${op}: run ${run} has ${rows} rows at ${position} with pages at ${table}; it may have ` +
          `${maxKeys} keys, and there are ${tables.length} places for pages`,
      );
    }
    need(op, "q", args.q, (row + rows - 1) * args.ldQ + heads * headDim);
    need(op, "k", args.k, (row + rows - 1) * args.ldK + kvHeads * headDim);
    need(op, "v", args.v, (row + rows - 1) * args.ldV + kvHeads * headDim);
    need(op, "out", args.out, (row + rows - 1) * args.ldOut + heads * headDim);
    for (let i = table; i < last; i++) {
      if (tables[i] >= 0 && tables[i] < numPages) continue;
      throw new RangeError(
        `Cannot run ${op}: there are ${numPages} pages, run ${run} names page ${tables[i]}`,
      );
    }
  }
}
