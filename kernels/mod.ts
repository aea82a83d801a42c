/**
 * Arithmetic on the flat memory of one device: the heap, spans, and backends that compute on them.
 *
 * @module
 */
export * from "./backend.ts";
export * from "./clock.ts";
export * from "./heap.ts";
export * from "./peer_link.ts";
export * from "./span.ts";
