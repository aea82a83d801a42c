/**
 * An engine that goes on with many texts at a time, on the devices of a replica.
 *
 * @module
 */
export * from "./engine.ts";
export * from "./engine_rank.ts";
export type { Prefix } from "./page_pool.ts";
export * from "./scheduler.ts";
export * from "./sequence.ts";
