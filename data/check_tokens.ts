import { UsageError } from "../files/mod.ts";
import { visitSpread } from "./spread_blocks.ts";
import { openTokens, type TokenArray, type Tokens } from "./tokens.ts";

/** Fewer tokens say nothing of what a file is. */
const FEWEST = 32;
/** Upper halves of uint32 ids are at most this: vocabularies have fewer than a million tokens. */
const MOST_UPPER = 15;

/**
 * Refuses a file of uint16 that must be something else: text, or wider numbers, of which every second uint16 is next to
 * nothing.
 *
 * @throws {UsageError} Says what it looks like, and what to do.
 */
export function checkIds(path: string, tokens: Tokens): void {
  if (tokens.dtype !== "uint16" || tokens.length < FEWEST) return;
  const refuse = (what: string, todo: string): never => {
    throw new UsageError(
      `Cannot train on ${path}: it looks like ${what}; ${todo}, or say --dtype uint16 if it is that`,
    );
  };
  if (looksLikeText(tokens)) refuse("text, as all its bytes are characters", "name it .txt");
  const width = looksWide(tokens);
  if (width === 8) {
    refuse("int64, as three of four uint16 in it are 0", "save it by astype(np.uint16) or np.uint32");
  }
  if (width === 4) refuse("uint32, as every second uint16 in it is next to 0", "use --dtype uint32");
}

function looksLikeText(tokens: Tokens): boolean {
  using reader = openTokens(tokens);
  const start = reader.read(0, Math.min(tokens.length, 2048)).slice() as Uint16Array<ArrayBuffer>;
  try {
    // A character may be cut at the end.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(start.buffer, { stream: true });
    // deno-lint-ignore no-control-regex
    return !/[\x00-\x08\x0e-\x1f\x7f]/.test(text);
  } catch {
    return false;
  }
}

/** Bytes that an id has, by which uint16 are next to 0; of a file of small numbers only, nothing can be told: 2. */
function looksWide(tokens: Tokens): 2 | 4 | 8 {
  const most = [0, 0, 0, 0];
  let numLarge = 0;
  visitSpread(tokens, (block, start) => {
    for (let i = 0; i < block.length; i++) {
      const place = (start + i) % 4;
      if (block[i] > most[place]) most[place] = block[i];
      if (block[i] > MOST_UPPER) numLarge++;
    }
  });
  const isTold = numLarge > Math.min(tokens.length, 1 << 16) / 64;
  if (!isTold || most[1] > MOST_UPPER || most[3] > MOST_UPPER) return 2;
  return most[2] === 0 && most[3] === 0 ? 8 : 4;
}

/**
 * Checks tokens against a vocabulary: all of them in files of up to 64 MiB, of larger ones some; the others are
 * checked when they are read.
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
