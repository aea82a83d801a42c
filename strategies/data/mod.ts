/**
 * Replicas and ZeRO: where parameters, gradients and optimizer state lie along the data axis.
 *
 * @module
 */
export * from "./bracket.ts";
export * from "./bucket.ts";
export * from "./bucket_memory.ts";
export * from "./buckets.ts";
export * from "./gradient_fold.ts";
export * from "./gradient_norm.ts";
export * from "./parameter_store.ts";
export * from "./replica_check.ts";
export * from "./zero.ts";
