/**
 * A job: its options, data, order of samples, checkpoints, metrics and what a person sees of it.
 *
 * @example The data order of a run depends on its seed and the step only
 * ```ts
 * import { corpusFromText, learningRate, resolveConfig, sampleStart } from "@tessera/tessera/train";
 *
 * const config = resolveConfig({ context: 16, batch: 2, steps: 10 }, { numCores: 2 });
 * const corpus = corpusFromText("a text", "the whale ".repeat(100), config);
 * const first = sampleStart(0, { ...config, numTokens: corpus.train.end });
 * console.log(first, learningRate(0, config), corpus.statement);
 * ```
 *
 * @module
 */
export * from "../data/mod.ts";
export * from "../files/mod.ts";
export * from "../models/mod.ts";
export * from "./checkpoint.ts";
export * from "./checkpoint_files.ts";
export * from "./companions.ts";
export * from "./config.ts";
export type { ExactSpread } from "./exact_rules.ts";
export * from "./export_onnx.ts";
export * from "./fitting.ts";
export * from "./generate.ts";
export * from "./gpu_rescue.ts";
export * from "./job.ts";
export * from "./kernel_rules.ts";
export * from "./layer_times.ts";
export * from "./layout_check.ts";
export * from "./loss_scale.ts";
export * from "./memory_check.ts";
export * from "./metrics.ts";
export * from "./metrics_log.ts";
export * from "./model_directory.ts";
export * from "./option_names.ts";
export * from "./options.ts";
export * from "./out_folder.ts";
export * from "./parse_option.ts";
export * from "./plan_run.ts";
export * from "./plan_text.ts";
export * from "./recipe.ts";
export * from "./sample_options.ts";
export * from "./save_checkpoint.ts";
export * from "./settle_layout.ts";
export * from "./terminal.ts";
export * from "./terminal_painter.ts";
export * from "./train.ts";
export * from "./training.ts";
export * from "./trainer_state.ts";
