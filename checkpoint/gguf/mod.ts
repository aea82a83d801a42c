/**
 * Models of GGUF files as directories of Hugging Face's form, and the other way round.
 *
 * @module
 */
export * from "./fields.ts";
export * from "./names.ts";
export * from "./open.ts";
export * from "./vocabulary.ts";
