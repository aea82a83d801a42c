/**
 * Expert parallelism: every rank holds some of the experts of a layer.
 *
 * @module
 */
export * from "./expert_parallel.ts";
export * from "./replicated_experts.ts";
