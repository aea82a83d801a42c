/**
 * Files that others write and read, and what to say when they cannot be used.
 *
 * ```ts
 * import { UsageError } from "@tessera/tessera/files";
 *
 * const error = new UsageError("Cannot read novel.txt: it does not exist");
 * console.log(error.message);
 * ```
 *
 * @module
 */
export * from "./blocks.ts";
export * from "./check_tensors.ts";
export * from "./gguf/mod.ts";
export * from "./file_content.ts";
export * from "./json.ts";
export * from "./npy.ts";
export * from "./safetensors.ts";
export * from "./sharded_safetensors.ts";
export * from "./tensor_files.ts";
export * from "./usage_error.ts";
export * from "./write_all.ts";
