/**
 * Models for other runtimes.
 *
 * @module
 */
export * from "./decoder_graph.ts";
export * from "./export_directory.ts";
export * from "./export_onnx.ts";
