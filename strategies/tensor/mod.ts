/**
 * Tensor and sequence parallelism: layers split over the ranks of a group.
 *
 * @module
 */
export * from "./exact_plan.ts";
export * from "./partial_gradients.ts";
export * from "./tensor_ops.ts";
export * from "./tensor_parallel.ts";
export * from "./vocab_parallel.ts";
