/**
 * A pipeline stage on one rank: what it is built of, and its recordings.
 *
 * @module
 */
export * from "./build_stages.ts";
export * from "./graph_stage.ts";
export * from "./graph_weights.ts";
export * from "./lower_stage.ts";
export * from "./stage.ts";
export * from "./trace_shapes.ts";
