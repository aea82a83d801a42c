/**
 * Options, what they become, and what goes together.
 *
 * @module
 */
export * from "./combinations.ts";
export * from "./config.ts";
export * from "./config_file.ts";
export * from "./exact_rules.ts";
export * from "./job.ts";
export * from "./kernel_rules.ts";
export * from "./layout_check.ts";
export * from "./layout_option.ts";
export * from "./model_options.ts";
export * from "./option_names.ts";
export * from "./option_spec.ts";
export * from "./option_types.ts";
export * from "./options.ts";
export * from "./parse_option.ts";
export * from "./recipe.ts";
export * from "./tuning_options.ts";
