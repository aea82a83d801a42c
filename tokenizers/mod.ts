/**
 * Tokenizers: text to ids and back, by the files that a model brings, and learning a vocabulary.
 *
 * @example Bytes are the tokens of a model that brings no files
 * ```ts
 * import { BYTES, StreamDecoder } from "@tessera/tessera/tokenizers";
 *
 * const decoder = new StreamDecoder(BYTES);
 * console.log(BYTES.encode("\u00e9").map((id) => decoder.next(id))); // [ "", "\u00e9" ]
 * ```
 *
 * @module
 */
export * from "./bpe_file.ts";
export * from "./bytes.ts";
export * from "./chat_template.ts";
export * from "./gpt2_tokenizer.ts";
export * from "./hub_tokenizer.ts";
export * from "./learn_bpe.ts";
export * from "./merges_file.ts";
export * from "./open_tokenizer.ts";
export * from "./split_text.ts";
export * from "./tokenizer.ts";
