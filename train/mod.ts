/**
 * A training run: its options, what ranks execute, what it will hold and move, and how it is started.
 *
 * @example The learning rate of a run depends on its options only
 * ```ts
 * import { learningRate, resolveConfig } from "@tessera/tessera/train";
 *
 * const config = resolveConfig({ context: 16, batch: 2, steps: 10 }, { numCores: 2 });
 * console.log(config.dp, learningRate(0, config));
 * ```
 *
 * @module
 */
export * from "./config/mod.ts";
export * from "./event_queue.ts";
export * from "./gpu_rescue.ts";
export * from "./plan/mod.ts";
export * from "./stage/mod.ts";
export * from "./starting_point.ts";
export * from "./step/mod.ts";
export * from "./train.ts";
export * from "./training.ts";
