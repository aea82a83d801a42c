import type { DeviceHeap } from "../memory/heap.ts";
import {
  fieldLength,
  numberOf,
  type RowField,
  type RowGradientSizes,
  type RowKernel,
  spanOf,
} from "./kernel.ts";

/** An operand in memory and, of a sum, its terms so far. */
interface Operand {
  readonly field: RowField;
  readonly memory: Float32Array;
  readonly sums?: Float64Array;
}

/** Runs the oracle of a kernel row by row: float64 in between, one rounding to float32 at the end. */
export function runRowReference(heap: DeviceHeap, kernel: RowKernel, args: RowGradientSizes): void {
  kernel.check(args);
  const { rows, units } = args, unitRows = rows / (units ?? 1);
  const operands = kernel.fields.map((field): Operand => {
    const memory = heap.f32(spanOf(args, field.name));
    return { field, memory, sums: field.use === "sum" ? sumsOf(memory, args) : undefined };
  });
  const numbers = kernel.numbers.map((name) => [name, numberOf(args, name)]);
  for (let r = 0; r < rows; r++) {
    const unit = Math.floor(r / unitRows);
    const row = operands.map((operand) => [operand.field.name, rowOf(operand, args, r, unit)] as const);
    kernel.form.reference({ cols: args.cols, ...Object.fromEntries([...row, ...numbers]) });
    operands.forEach((operand, i) => store(operand, args, row[i][1], r));
  }
  for (const { memory, sums } of operands) if (sums !== undefined) memory.set(sums);
}

function sumsOf(memory: Float32Array, { cols, units }: RowGradientSizes): Float64Array {
  return units === undefined ? Float64Array.from(memory.subarray(0, cols)) : new Float64Array(units * cols);
}

function rowOf(
  { field: { use, shape }, memory, sums }: Operand,
  { cols }: RowGradientSizes,
  row: number,
  unit: number,
): Float64Array {
  if (sums !== undefined) return sums.subarray(unit * cols, (unit + 1) * cols);
  const length = fieldLength(shape, 1, cols), start = shape === "[cols]" ? 0 : row * length;
  return use === "in" ? Float64Array.from(memory.subarray(start, start + length)) : new Float64Array(length);
}

function store(
  { field: { use }, memory }: Operand,
  { accumulate = false }: RowGradientSizes,
  result: Float64Array,
  row: number,
): void {
  if (use === "in" || use === "sum") return;
  const start = row * result.length, isAdded = use === "target" && accumulate;
  result.forEach((value, i) => memory[start + i] = isAdded ? memory[start + i] + value : value);
}
