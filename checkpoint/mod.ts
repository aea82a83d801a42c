/**
 * Directories of models and checkpoints of runs.
 *
 * @module
 */
export * from "./checkpoint.ts";
export * from "./checkpoint_files.ts";
export * from "./companions.ts";
export * from "./disk_space.ts";
export * from "./gguf/mod.ts";
export * from "./model_directory.ts";
export * from "./out_folder.ts";
export * from "./pieces.ts";
export * from "./rank_tensors.ts";
export * from "./run_start.ts";
export * from "./trainer_state.ts";
