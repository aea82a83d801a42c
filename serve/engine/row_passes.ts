import { type Backend, type DType, RUN_WORDS, type Span, subspan } from "../../kernels/mod.ts";
import type { DecoderModel, RowPass } from "../../models/mod.ts";
import { PagedCache, Tape, type Tensor } from "../../nn/mod.ts";
import type { EngineLimits, ScheduledRun } from "./scheduler.ts";

/** Rows of a pass, ready to run. */
interface Recorded {
  readonly numRows: number;
  readonly tape: Tape;
  readonly pass: RowPass;
}

/** Scores of some rows, ready to run. */
interface RecordedHead {
  readonly numRows: number;
  readonly tape: Tape;
  readonly x: Tensor;
  readonly logits: Tensor;
}

/**
 * The passes of an engine: recorded once for each number of rows that is a power of two, and run on the smallest that
 * holds a step. Rows that are left over are of no sequence.
 */
export class RowPasses {
  readonly #backend: Backend;
  readonly #width: number;
  readonly #vocab: number;
  readonly #runs: Span;
  readonly #tables: Span;
  readonly #passes: readonly Recorded[];
  readonly #heads: readonly RecordedHead[];

  /** Allocates pages, and records all passes. */
  constructor(backend: Backend, model: DecoderModel, limits: EngineLimits) {
    const { maxRows, maxSequences, numPages, pageTokens } = limits, { heap } = backend, { context } = model;
    this.#backend = backend;
    const words = (name: string, length: number) => heap.allocate(name, length, "activations", "i32");
    this.#runs = words("runs", 1 + RUN_WORDS * maxSequences);
    this.#tables = words("tables of pages", maxSequences * Math.ceil(context / pageTokens));
    const sizes = { numPages, pageTokens, width: model.keyWidth, context };
    const batch = { runs: this.#runs, tables: this.#tables };
    const caches = Array.from({ length: model.numCaches }, () => new PagedCache(heap, sizes, batch));
    this.#passes = recordSizes(backend, maxRows, (tape, numRows) => ({
      ...{ numRows, tape, pass: model.rows(tape, numRows, caches) },
    }));
    this.#width = this.#passes[0].pass.x.shape[2];
    this.#heads = recordSizes(backend, Math.min(maxRows, maxSequences), (tape, numRows) => {
      const x = tape.input("last rows", [1, numRows, this.#width]);
      return { numRows, tape, x, logits: model.head(tape, x) };
    });
    this.#vocab = this.#heads[0].logits.shape[2];
  }

  /**
   * Runs the rows of a step.
   *
   * @returns The scores of the token after the last row of each run that `wantsLogits`, in order; valid until the next
   * step.
   */
  run(runs: readonly ScheduledRun[], wantsLogits: (run: ScheduledRun) => boolean): Float32Array[] {
    const { heap } = this.#backend, numRows = runs.reduce((sum, { rows }) => sum + rows, 0);
    const { tape, pass, numRows: size } = smallest(this.#passes, numRows);
    const ids = heap.i32(pass.ids.span), positions = heap.i32(pass.positions.span);
    const words = heap.i32(this.#runs), tables = heap.i32(this.#tables), wanted: number[] = [];
    let row = 0, table = 0;
    words[0] = runs.length;
    for (const [i, run] of runs.entries()) {
      const { sequence: { tokens, pages }, first, rows } = run;
      words.set([row, rows, first, table], 1 + RUN_WORDS * i);
      tables.set(pages, table);
      for (let t = 0; t < rows; t++) {
        ids[row + t] = tokens[first + t];
        positions[row + t] = first + t;
      }
      row += rows;
      table += pages.length;
      if (wantsLogits(run)) wanted.push(row - 1);
    }
    ids.fill(0, row, size);
    positions.fill(0, row, size);
    tape.forward();
    return wanted.length === 0 ? [] : this.#scores(pass.x, wanted);
  }

  #scores(x: Tensor, rows: readonly number[]): Float32Array[] {
    const { heap } = this.#backend, width = this.#width, head = smallest(this.#heads, rows.length);
    for (const [i, row] of rows.entries()) {
      this.#backend.copy(subspan(x.span, row * width, width), subspan(head.x.span, i * width, width));
    }
    head.tape.forward();
    const logits = heap.f32(head.logits.span);
    return rows.map((_, i) => logits.subarray(i * this.#vocab, (i + 1) * this.#vocab));
  }
}

/** The first that holds so many rows; they grow. */
function smallest<T extends { readonly numRows: number }>(recorded: readonly T[], numRows: number): T {
  return recorded.find((one) => one.numRows >= numRows)!;
}

/**
 * Records passes of 1, 2, 4, ... and `most` rows, the smallest first in the result. All lie in the memory of the largest,
 * as only one runs at a time.
 */
function recordSizes<T>(
  backend: Backend,
  most: number,
  record: (tape: Tape, numRows: number) => T,
): T[] {
  const sizes = [most], spans: Span[] = [];
  for (let size = 2 ** Math.floor(Math.log2(Math.max(1, most - 1))); size >= 1 && size < most; size /= 2) {
    sizes.push(size);
  }
  return sizes.map((numRows) => {
    let next = 0;
    const allocate = (name: string, length: number, dtype: DType) => {
      const known: Span | undefined = spans[next++];
      if (known !== undefined && known.dtype === dtype && known.length >= length) {
        return subspan(known, 0, length);
      }
      const own = backend.heap.allocate(name, length, "activations", dtype);
      if (known === undefined) spans.push(own);
      return own;
    };
    // Each row is a unit of its own, whose experts have room for it.
    return record(
      new Tape({ backend, training: false, allocate, placement: { unitsPerRow: numRows } }),
      numRows,
    );
  }).reverse();
}
