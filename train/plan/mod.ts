/**
 * What a run will hold, move and take, before it starts.
 *
 * @module
 */
export * from "./fitting.ts";
export * from "./layer_times.ts";
export * from "./memory_check.ts";
export * from "./plan_run.ts";
export * from "./plan_text.ts";
export * from "./settle_layout.ts";
