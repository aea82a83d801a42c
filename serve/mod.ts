/**
 * Text from a trained model.
 *
 * @module
 */
export * from "./choose_token.ts";
export * from "./generate.ts";
export * from "./sample_options.ts";
export * from "./text_stream.ts";
export * from "./writer.ts";
