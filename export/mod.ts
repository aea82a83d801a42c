/**
 * Models for other runtimes, and with adapters in their weights.
 *
 * @module
 */
export * from "./decoder_graph.ts";
export * from "./export_directory.ts";
export * from "./export_gguf.ts";
export * from "./export_onnx.ts";
export * from "./merge_adapter.ts";
export * from "./prune_model.ts";
