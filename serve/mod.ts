/**
 * Text from a trained model.
 *
 * @module
 */
export * from "./choose_token.ts";
export * from "./engine/mod.ts";
export * from "./generate.ts";
export { type EnginePlan, type EngineSetup, engineTopology, planEngine } from "./engine_program.ts";
export { type EngineOptions } from "./engine_run.ts";
export * from "./generate_batch.ts";
export type { WeightChoice } from "./load_weights.ts";
export * from "./plan_serving.ts";
export * from "./sample_options.ts";
export * from "./score.ts";
export { chatPrompt, tokenizerOf } from "./served_model.ts";
export * from "./text_stream.ts";
