import type { Backend } from "../backend.ts";
import type { GatherArgs } from "../arguments/row_arguments.ts";
import { type Bf16Staging, isBf16 } from "./staging.ts";
import { badId, need } from "../arguments/check.ts";

/** Elements that are fetched at a time: 64 KiB. */
const BLOCK_ELEMENTS = 16384;

/**
 * `gather` from a bf16 table: rows are widened as they are fetched, so that what is staged depends on the rows that are
 * asked for, not on the table.
 *
 * @throws {RangeError} If a span is too short, or the table has no row of an id.
 */
export function gatherBf16(inner: Backend, staging: Bf16Staging, args: GatherArgs): void {
  const { rows, cols, ids, table, out, accumulate } = args;
  need("gather", "ids", ids, rows);
  need("gather", "out", out, rows * cols);
  if (cols === 0) return;
  checkIds(inner, args, Math.floor(table.length / cols));
  const step = Math.max(1, Math.floor(BLOCK_ELEMENTS / cols));
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first), length = count * cols, start = first * cols;
    staging.begin([length, length]);
    const found = staging.take(length), wide = staging.take(length);
    const sum = isBf16(out) ? wide : { ...out, byteOffset: out.byteOffset + 4 * start, length };
    staging.gather(ids, { first, rows: count, cols }, { table, out: accumulate ? found : sum });
    if (accumulate && isBf16(out)) staging.widen(out, start, sum, length);
    if (accumulate) inner.axpy(1, found, sum);
    if (isBf16(out)) staging.narrow(sum, out, start, length);
  }
}

function checkIds({ heap }: Backend, { ids, rows }: GatherArgs, limit: number): void {
  if (heap.memory === undefined) return;
  const all = heap.i32(ids);
  for (let i = 0; i < rows; i++) if (all[i] >= limit) throw badId("gather", i, all[i], limit);
}
