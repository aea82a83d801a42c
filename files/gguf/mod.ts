/**
 * GGUF, the files of llama.cpp: metadata and tensors.
 *
 * @module
 */
export { type GgufFile, openGguf } from "./read.ts";
export type { GgufMetadata, GgufValue } from "./values.ts";
export { type GgufTensor, type GgufToWrite, type TypedValue, writeGguf } from "./write.ts";
