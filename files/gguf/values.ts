/**
 * What a GGUF file says of its model: metadata, and the types of its tensors.
 *
 * Source: ggml, docs/gguf.md (version 3); `ggml.h` for the numbers of types.
 *
 * @module
 */
import type { StoredDType } from "../tensor_files.ts";

/** Types of metadata, by their numbers. */
export const VALUE_TYPES = [
  ...["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"],
] as const;

/** A value of metadata. */
export type GgufValue = number | boolean | string | readonly GgufValue[];

/** Metadata by key, such as `llama.block_count`. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Types of tensors that are read, by their numbers. */
export const TENSOR_TYPES: ReadonlyMap<number, StoredDType> = new Map([
  [0, "F32"],
  [1, "F16"],
  [2, "Q4_0"],
  [8, "Q8_0"],
  [28, "F64"],
  [30, "BF16"],
]);

/** Names of the types that are not, for messages. */
export const OTHER_TYPES: ReadonlyMap<number, string> = new Map([
  ...([[3, "Q4_1"], [6, "Q5_0"], [7, "Q5_1"], [10, "Q2_K"], [11, "Q3_K"], [12, "Q4_K"], [
    13,
    "Q5_K",
  ]] as const),
  ...([[14, "Q6_K"], [15, "Q8_K"], [16, "IQ2_XXS"], [17, "IQ2_XS"], [18, "IQ3_XXS"], [
    20,
    "IQ4_NL",
  ]] as const),
  ...([[23, "IQ4_XS"], [24, "I8"], [25, "I16"], [26, "I32"], [27, "I64"], [39, "MXFP4"]] as const),
]);

/** The first four bytes of a file. */
export const MAGIC = "GGUF";
/** The version that is written; 2 differs in nothing that is read. */
export const VERSION = 3;
/** Key of the alignment of tensors. */
export const ALIGNMENT_KEY = "general.alignment";
/** Alignment where none is named. */
export const ALIGNMENT = 32;
