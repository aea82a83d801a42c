/**
 * Operations on rows whose operands may be bf16: some rows at a time are computed in float32, so that what is staged
 * stays in the cache. As every row has its own results, and sums over rows run in their order, the bits are those of
 * float32 operands of the same values, rounded once.
 *
 * @module
 */
import { type Bf16Staging, type BlockSpan, isBf16 } from "./staging.ts";
import { need } from "../arguments/check.ts";
import { DTYPE_BYTES, type Span } from "../memory/span.ts";

/** How an operation uses an operand: what is only written is not widened, what is only read not narrowed. */
export type Use = "in" | "out" | "inout";

/** Name of an argument, its use, and its elements for each row; without them it is used whole with every row. */
export type RowOperand<A> = readonly [field: keyof A & string, use: Use, perRow?: number];

/** An operation on rows. */
export interface RowOperation<A> {
  /** In errors. */
  readonly name: string;
  /** Rows; 1 for an operation that is not cut. */
  readonly rows: number;
  /** Spans of floats, and ids that go with rows. */
  readonly operands: readonly RowOperand<A>[];
}

/** Staged elements at a time: 64 KiB, which fit the second-level cache beside their bf16. */
const BLOCK_ELEMENTS = 16384;

/** An operand of a call: where it lies, and the span that the block computes on. */
interface Operand {
  readonly source: Span;
  readonly block: BlockSpan;
  readonly use: Use;
  readonly perRow: number | undefined;
  readonly isStaged: boolean;
}

/**
 * Runs `call` on blocks of rows of `args`, with float32 copies in place of bf16 spans; without any, on `args` at once.
 *
 * @param call Gets arguments of a block, whose `rows` and spans it may use until it returns, and the block's first row.
 * @throws {RangeError} If a span is too short.
 */
export function runRows<A extends object>(
  staging: Bf16Staging,
  args: A,
  { name, rows, operands }: RowOperation<A>,
  call: (args: A, firstRow: number) => void,
): void {
  const given = operands.filter(([field]) => args[field] !== undefined);
  if (!given.some(([field]) => isBf16(args[field]))) return call(args, 0);
  const spanOf = (field: keyof A) => args[field] as unknown as Span;
  const staged = given.filter(([field]) => isBf16(args[field]));
  const width = staged.reduce((sum, [, , perRow = 0]) => sum + perRow, 0);
  const step = Math.max(1, Math.min(rows, Math.floor(BLOCK_ELEMENTS / Math.max(1, width))));
  staging.begin(
    staged.map(([field, , perRow]) => perRow === undefined ? spanOf(field).length : step * perRow),
  );
  const copy = { ...args } as Record<string, unknown>;
  const used = given.map(([field, use, perRow]): Operand => {
    const source = spanOf(field), isStaged = isBf16(source);
    if (perRow !== undefined) need(name, field, source, rows * perRow);
    const block = isStaged
      ? staging.take(perRow === undefined ? source.length : step * perRow)
      : { ...source };
    copy[field] = block;
    return { source, block, use, perRow, isStaged };
  });
  const whole = used.filter((one) => one.perRow === undefined && one.isStaged);
  for (const one of whole) load(staging, one, 0, one.source.length);
  const parts = used.filter((one) => one.perRow !== undefined);
  for (let first = 0; first === 0 || first < rows; first += step) {
    const count = Math.min(step, rows - first);
    if ("rows" in args) copy.rows = count;
    for (const one of parts) load(staging, one, first * one.perRow!, count * one.perRow!);
    call(copy as A, first);
    for (const one of parts) store(staging, one, first * one.perRow!, count * one.perRow!);
  }
  for (const one of whole) store(staging, one, 0, one.source.length);
}

function load(
  staging: Bf16Staging,
  { source, block, use, isStaged }: Operand,
  start: number,
  length: number,
): void {
  block.length = length;
  if (!isStaged) block.byteOffset = source.byteOffset + DTYPE_BYTES[source.dtype] * start;
  else if (use !== "out") staging.widen(source, start, block, length);
}

function store(
  staging: Bf16Staging,
  { source, block, use, isStaged }: Operand,
  start: number,
  length: number,
): void {
  if (isStaged && use !== "in") staging.narrow(block, source, start, length);
}

/** Sum of what `sumOf` gives for some elements of a span at a time. */
export function totalOf(staging: Bf16Staging, x: Span, sumOf: (block: Span) => number): number {
  let total = 0;
  const operation = { name: "sum", rows: x.length, operands: [["x", "in", 1]] as const };
  runRows(staging, { x }, operation, (block) => total += sumOf(block.x));
  return total;
}

/** A matrix [rows, cols] of which some columns are computed at a time. */
export type ColumnOperand<A> = readonly [field: keyof A & string, use: Use, rows: number];

/** An operation on columns: ids say which rows of its tables meet, so rows cannot be cut. */
export interface ColumnOperation<A> {
  /** In errors. */
  readonly name: string;
  /** Columns of every operand. */
  readonly cols: number;
  /** All matrices. */
  readonly operands: readonly ColumnOperand<A>[];
}

/** Staged elements at a time; more than of rows, as narrow columns are copied slowly. */
const COLUMN_ELEMENTS = 262144, MIN_COLUMNS = 16;

/**
 * The same for blocks of columns. Matrices of both types in one call are staged whole, as float32 stays in place.
 *
 * @throws {RangeError} If a span is too short.
 */
export function runColumns<A extends { readonly cols: number }>(
  staging: Bf16Staging,
  args: A,
  { name, cols, operands }: ColumnOperation<A>,
  call: (args: A) => void,
): void {
  const spanOf = (field: keyof A) => args[field] as unknown as Span;
  const staged = operands.filter(([field]) => isBf16(args[field]));
  if (staged.length === 0) return call(args);
  const height = staged.reduce((sum, [, , rows]) => sum + rows, 0), isWhole = staged.length < operands.length;
  const fitting = Math.max(MIN_COLUMNS, Math.floor(COLUMN_ELEMENTS / Math.max(1, height)));
  const step = Math.min(cols, isWhole ? cols : fitting);
  for (const [field, , rows] of operands) need(name, field, spanOf(field), rows * cols);
  staging.begin(staged.map(([, , rows]) => rows * step));
  const copy = { ...args } as Record<string, unknown>;
  const blocks = staged.map(([field, , rows]) => copy[field] = staging.take(rows * step));
  for (let start = 0; start < cols; start += step) {
    const count = copy.cols = Math.min(step, cols - start);
    const place = (i: number) => {
      const [field, use, rows] = staged[i];
      blocks[i].length = rows * count;
      return { use, at: { span: spanOf(field), start, ld: cols, rows, cols: count } };
    };
    blocks.forEach((block, i) => {
      const { use, at } = place(i);
      if (use !== "out") staging.widenRows(at, block);
    });
    call(copy as A);
    blocks.forEach((block, i) => {
      const { use, at } = place(i);
      if (use !== "in") staging.narrowRows(block, at);
    });
  }
}
