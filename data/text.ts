/**
 * Texts: bytes of UTF-8 in a file or in memory.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import { checkText } from "./check_tokens.ts";
import type { RawBytes } from "./raw_bytes.ts";
import { tokensAt } from "./token_file.ts";
import { openTokens, shareTokens, type Tokens } from "./tokens.ts";

/** Bytes of a text that are read at once. */
const READ_BYTES = 1 << 20;

/** The bytes of a text in memory. */
export function bytesOf(text: string): Tokens {
  return shareTokens(new TextEncoder().encode(text));
}

/** The bytes of a text; one in UTF-16 becomes UTF-8, and a byte order mark is left out. */
export function openText(raw: RawBytes): Tokens {
  const [first, second, third] = raw.read(0, 3), mark = 256 * first + second;
  if (mark === 0xfffe || mark === 0xfeff) {
    const encoding = mark === 0xfffe ? "utf-16le" : "utf-16be";
    return bytesOf(new TextDecoder(encoding).decode(raw.read(0, raw.size)));
  }
  const isMarked = mark === 0xefbb && third === 0xbf;
  if (isMarked && raw.size === 3) {
    throw new UsageError(`Cannot train on ${raw.path}: it is empty but for a mark`);
  }
  const tokens = tokensAt(raw, isMarked ? 3 : 0, "uint8");
  checkText(raw.path, tokens);
  return tokens;
}

/** A text as characters, part by part. */
export function* textParts(text: Tokens): Generator<string> {
  using reader = openTokens(text);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (let start = 0; start < text.length; start += READ_BYTES) {
    const bytes = reader.read(start, Math.min(READ_BYTES, text.length - start)) as Uint8Array;
    // A copy, as shared memory cannot be decoded.
    yield decoder.decode(bytes.slice(), { stream: true });
  }
  yield decoder.decode();
}
