import type { DType, Span } from "../kernels/mod.ts";
import type { Algorithm } from "./control/descriptor.ts";
import type { Reduction } from "./algorithms/operation.ts";

/** What every operation may say about itself. */
export interface OperationOptions {
  /** Name of the tensor, for error messages and timelines. */
  label?: string;
}

/** How to cut into chunks. */
export interface ChunkOptions extends OperationOptions {
  /** Elements that stay together: every chunk is whole rows of so many. By default 1. */
  row?: number;
}

/** How to reduce. */
export interface ReduceOptions extends OperationOptions {
  /** By default "sum". */
  reduction?: Reduction;
}

/** How to reduce and cut into chunks. */
export type ReduceScatterOptions = ReduceOptions & ChunkOptions;

/** How to run an all-reduce. */
export interface AllReduceOptions extends ReduceOptions {
  /**
   * By default "auto": `eager` for small payloads, `ordered` above (`chooseAlgorithm`). Both give the same bits;
   * `ring` adds in another order. `eager` is allowed up to `EAGER_MAX_BYTES`.
   */
  algorithm?: Exclude<Algorithm, "none"> | "auto";
}

/** Part of a heap that a group allocates its slots and scratch from. */
export interface BufferHeap {
  /** Allocates elements; a `DeviceHeap` does. */
  allocate(name: string, length: number, category: "buffers", dtype: DType): Span;
}
