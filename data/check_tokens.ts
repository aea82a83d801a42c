import { UsageError } from "../files/mod.ts";
import { visitSpread } from "./spread_blocks.ts";
import { openTokens, type TokenArray, type Tokens } from "./tokens.ts";

/** Tokens at the start that say whether a file is of another type; fewer say nothing. */
const FEWEST = 32, MOST = 1 << 16;

/**
 * Refuses a file of uint16 that must be one of wider numbers: read so, every second token is 0, or 1 from 65536 on.
 *
 * @throws {UsageError} Says what it looks like, and what to do.
 */
export function checkWidth(path: string, tokens: Tokens): void {
  if (tokens.dtype !== "uint16" || tokens.length < FEWEST) return;
  using reader = openTokens(tokens);
  const start = reader.read(0, Math.min(MOST, tokens.length - tokens.length % 4));
  const isUpper = (places: readonly number[]) =>
    start.every((token, i) => !places.includes(i % 4) || token <= 1);
  // Of a file of zeros nothing can be told.
  if (!isUpper([1, 3]) || start.filter((token) => token > 1).length < start.length / 16) return;
  const isLong = isUpper([1, 2, 3]);
  throw new UsageError(
    isLong
      ? `Cannot train on ${path}: it looks like int64, as three of four uint16 in it are 0; save it as uint16 or uint32, ` +
        `by astype(np.uint16), or say --dtype uint16 if it is that`
      : `Cannot train on ${path}: it looks like uint32, as every second uint16 in it is 0; use --dtype uint32, ` +
        `or say --dtype uint16 if it is that`,
  );
}

/**
 * Checks tokens against a vocabulary: all of them in files of up to 64 MiB, of larger ones some; the others are checked when
 * they are read.
 *
 * @throws {UsageError} Names the first token outside.
 */
export function checkVocabulary(name: string, tokens: Tokens, vocab: number): void {
  visitSpread(tokens, (block, start) => checkBlock({ name, vocab, start }, block));
}

/**
 * Checks tokens that were read from `start` on.
 *
 * @throws {UsageError} Names the first token outside.
 */
export function checkBlock(
  { name, vocab, start }: { readonly name: string; readonly vocab: number; readonly start: number },
  block: TokenArray,
): void {
  for (let i = 0; i < block.length; i++) {
    if (block[i] < vocab) continue;
    throw new UsageError(
      `Cannot train on ${name}: token ${block[i]} at position ${
        start + i
      } is outside the vocabulary of ${vocab}; ` +
        `check that the file is of the model's tokenizer and of this type (--dtype), or give the tokenizer's --vocab`,
    );
  }
}

/**
 * Refuses text that is none.
 *
 * @throws {UsageError} Names the first byte that no text has.
 */
export function checkText(path: string, tokens: Tokens): void {
  visitSpread(tokens, (block, start) => {
    const place = block.indexOf(0);
    if (place < 0) return;
    throw new UsageError(
      `Cannot train on ${path}: it is no text, byte ${
        start + place
      } is 0; token ids need a name that ends with .bin`,
    );
  });
}
