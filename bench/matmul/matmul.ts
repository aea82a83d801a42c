import { timeProduct } from "./matmul_contestant.ts";
import { wasmProducts } from "./matmul_program.ts";
import {
  countFor,
  GPT_SHAPES,
  gptProducts,
  type MatmulShape,
  operationsOf,
  SQUARES,
} from "./matmul_shapes.ts";
import { median } from "../statistics.ts";

/** A measured product. */
export interface MatmulRecord extends MatmulShape {
  readonly bench: "matmul";
  readonly backend: string;
  /** Median of one product. */
  readonly ms: number;
  readonly gflops: number;
}

/** All products of the suite. */
export const MATMUL_SHAPES: readonly MatmulShape[] = [...SQUARES, ...GPT_SHAPES.flatMap(gptProducts)];

const REPETITIONS = 15;
/** Work of a repetition: some 2 ms at 50 GFLOP/s. */
const REPETITION_OPERATIONS = 1e8;

/** Measures products on one device. */
export async function* benchMatmul(
  shapes: readonly MatmulShape[] = MATMUL_SHAPES,
): AsyncGenerator<MatmulRecord> {
  const prepare = wasmProducts();
  for (const shape of shapes) {
    const operations = operationsOf(shape), times: number[] = [];
    const task = { ...shape, count: countFor(shape, REPETITION_OPERATIONS) };
    for (let i = 0; i < REPETITIONS; i++) times.push(...(await timeProduct(prepare, task)).ms);
    const ms = median(times);
    yield { bench: "matmul", backend: "wasm", ...shape, ms, gflops: operations / ms / 1e6 };
  }
}
