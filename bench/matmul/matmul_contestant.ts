import { now } from "../../kernels/mod.ts";
import { type MatmulShape, operationsOf } from "./matmul_shapes.ts";
import type { Timed } from "../rounds.ts";

/** A product, done so many times. */
export interface MatmulTask extends MatmulShape {
  readonly count: number;
}

/** What a contestant says of it. */
export interface MatmulAnswer extends Timed {
  /** The last element of C, for all to agree on. */
  readonly last: number;
}

/** A product with its operands in place. */
export interface PreparedProduct {
  /** Computes C once. */
  run(): unknown;
  /** The last element of C. */
  last(): number | Promise<number>;
  /** Frees what `run` works on. */
  dispose(): void;
}

/** Element `i` of an operand: the same for all contestants. */
export function operandElement(i: number): number {
  return (i % 97) / 97 - 0.5;
}

/** An operand of that many elements. */
export function operand(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(length).map((_, i) => operandElement(i));
}

const WARM_UP_OPERATIONS = 2e8;

/** Times a product; what is warm at the first task of a shape need not be at the first of the next. */
export async function timeProduct(
  prepare: (shape: MatmulShape) => PreparedProduct,
  task: MatmulTask,
): Promise<MatmulAnswer> {
  const product = prepare(task), operations = operationsOf(task);
  try {
    const warmUps = Math.max(1, Math.min(task.count, Math.round(WARM_UP_OPERATIONS / operations)));
    for (let i = 0; i < warmUps; i++) await product.run();
    const start = now();
    for (let i = 0; i < task.count; i++) await product.run();
    return { ms: [(now() - start) / task.count], last: await product.last() };
  } finally {
    product.dispose();
  }
}
