import { StreamDecoder, type Tokenizer } from "../../../tokenizers/mod.ts";

/** The text of ids that come one by one. */
export function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const decoder = new StreamDecoder(tokenizer);
  return ids.map((id) => decoder.next(id)).join("") + decoder.end();
}
