/**
 * The programs that ranks execute, and what a step consists of.
 *
 * @module
 */
export * from "./events.ts";
export * from "./exchange.ts";
export * from "./held_parameters.ts";
export * from "./loss_scale.ts";
export * from "./metrics.ts";
export * from "./pass_runner.ts";
export * from "./rank_samples.ts";
export * from "./replica.ts";
export * from "./save_checkpoint.ts";
export * from "./save_error.ts";
