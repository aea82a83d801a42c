import type { HubFiles } from "./hub_tokenizer.ts";
import type { Merge } from "./learn_bpe.ts";
import { byteLevelBpe } from "./merges_file.ts";

/** Ends a text in vocabularies that are learned here, as in GPT-2's. */
export const END_OF_TEXT = "<|endoftext|>";

/**
 * The printable characters that stand for bytes in files: themselves where they are printable, others from U+0100 on.
 *
 * Source: `bytes_to_unicode` of GPT-2's encoder.
 */
export function byteCharacters(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** In `tokenizer_config.json`: the ids are bytes of UTF-8, and need no file to be read. */
export const BYTES_MARK = "is_utf8_bytes";

/** The files of a tokenizer of bytes, for programs that do not know that ids are bytes: by name. */
export function byteFiles(): Record<string, string> {
  const { tokenizer, config } = bpeFiles([], false), marked = { ...config, [BYTES_MARK]: true };
  return tokenizerTexts({ tokenizer, config: marked });
}

/** The files of a tokenizer, by name. */
export function tokenizerTexts({ tokenizer, config }: HubFiles): Record<string, string> {
  const text = (value: unknown) => JSON.stringify(value, null, 1) + "\n";
  return { "tokenizer.json": text(tokenizer), "tokenizer_config.json": text(config) };
}

/**
 * The files of a byte-level BPE: ids are those of bytes, then of what merges make, then that of {@link END_OF_TEXT}.
 *
 * @param hasEnd Without it there is no special token: ids of no merges are those of bytes.
 */
export function bpeFiles(merges: readonly Merge[], hasEnd = true): HubFiles {
  const tokens = byteCharacters(), lines: string[] = [];
  for (const [left, right] of merges) {
    lines.push(`${tokens[left]} ${tokens[right]}`);
    tokens.push(tokens[left] + tokens[right]);
  }
  const special = hasEnd ? [END_OF_TEXT] : [], all = [...tokens, ...special];
  const vocab = Object.fromEntries(all.map((token, id) => [token, id]));
  const names = hasEnd ? { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: END_OF_TEXT } : {};
  return {
    tokenizer: byteLevelBpe({ vocab, merges: lines, special }),
    config: {
      tokenizer_class: "GPT2Tokenizer",
      add_bos_token: false,
      clean_up_tokenization_spaces: false,
      ...names,
    },
  };
}
