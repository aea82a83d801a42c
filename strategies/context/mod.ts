/**
 * Context parallelism: every rank holds a part of every sequence.
 *
 * @module
 */
export * from "./context_parallel.ts";
export * from "./context_placement.ts";
export * from "./gathered_attention.ts";
export type { KeyValuePlaces } from "./key_value_blocks.ts";
export * from "./ring_attention.ts";
export * from "./ring_buffers.ts";
