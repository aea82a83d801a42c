import { type DeviceHeap, type PagedBatch, RUN_WORDS, type Span, subspan } from "../../kernels/mod.ts";
import { type EngineLimits, mostWanted, type ScheduledRun } from "./scheduler.ts";

/** In place of a number of rows: there are no more steps. */
const END = -1;

/**
 * What a step does, as words that the first device of a replica writes and all others get: which tokens its rows are, at
 * which places of which sequences, where their pages lie, and of which rows the scores are wanted.
 */
export class StepWords {
  /** All of it, which is the same on all devices. */
  readonly span: Span;
  /** What attention reads. */
  readonly batch: PagedBatch;
  readonly #heap: DeviceHeap;
  readonly #head: Span;
  readonly #wanted: Span;
  readonly #ids: Span;
  readonly #positions: Span;

  /** Allocates words for the largest step. */
  constructor(heap: DeviceHeap, limits: EngineLimits) {
    const { maxRows, maxSequences, pageTokens, context } = limits;
    const pages = Math.ceil(context / pageTokens);
    const lengths = [
      2,
      mostWanted(limits),
      maxRows,
      maxRows,
      1 + RUN_WORDS * maxSequences,
      maxSequences * pages,
    ];
    this.#heap = heap;
    this.span = heap.allocate("words of a step", lengths.reduce((a, b) => a + b, 0), "activations", "i32");
    let next = 0;
    const take = (length: number) => subspan(this.span, (next += length) - length, length);
    const [head, wanted, ids, positions, runs, tables] = lengths.map(take);
    this.#head = head;
    this.#wanted = wanted;
    this.#ids = ids;
    this.#positions = positions;
    this.batch = { runs, tables };
  }

  /** Rows of the step; undefined after the last one. */
  get numRows(): number | undefined {
    const [rows] = this.#heap.i32(this.#head);
    return rows === END ? undefined : rows;
  }

  /** Rows whose scores are computed. */
  get wanted(): Int32Array {
    return this.#heap.i32(this.#wanted).subarray(0, this.#heap.i32(this.#head)[1]);
  }

  /** The token of each row. */
  get ids(): Int32Array {
    return this.#heap.i32(this.#ids).subarray(0, this.numRows);
  }

  /** The place of each row in its sequence. */
  get positions(): Int32Array {
    return this.#heap.i32(this.#positions).subarray(0, this.numRows);
  }

  /**
   * Says what a step does.
   *
   * @param wantedOf How many of the last rows of a run have their scores computed.
   */
  write(runs: readonly ScheduledRun[], wantedOf: (run: ScheduledRun) => number): void {
    const heap = this.#heap, head = heap.i32(this.#head), wanted = heap.i32(this.#wanted);
    const ids = heap.i32(this.#ids), positions = heap.i32(this.#positions);
    const words = heap.i32(this.batch.runs), tables = heap.i32(this.batch.tables);
    let row = 0, table = 0, numWanted = 0;
    words[0] = runs.length;
    for (const [i, run] of runs.entries()) {
      const { sequence: { tokens, pages, start }, first, rows } = run;
      words.set([row, rows, first, table], 1 + RUN_WORDS * i);
      tables.set(pages, table);
      for (let t = 0; t < rows; t++) {
        ids[row + t] = tokens[start + first + t];
        positions[row + t] = first + t;
      }
      row += rows;
      table += pages.length;
      for (let t = wantedOf(run); t > 0; t--) wanted[numWanted++] = row - t;
    }
    head[0] = row;
    head[1] = numWanted;
  }

  /** Says that there are no more steps. */
  writeEnd(): void {
    this.#heap.i32(this.#head)[0] = END;
  }
}
