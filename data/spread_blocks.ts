import { openTokens, TOKEN_BYTES, type TokenArray, type Tokens } from "./tokens.ts";

/** Tokens of up to so many bytes are looked at one and all; of more, blocks that are spread evenly. */
export const WHOLE_BYTES: number = 64 * 2 ** 20;
const BLOCK_TOKENS = 1 << 16;
const NUM_BLOCKS = 64;

/** Visits tokens block by block: all of them if they are few, otherwise the first, the last and some between. */
export function visitSpread(tokens: Tokens, visit: (block: TokenArray, start: number) => void): void {
  using reader = openTokens(tokens);
  const { length } = tokens, isWhole = length * TOKEN_BYTES[tokens.dtype] <= WHOLE_BYTES;
  const numBlocks = isWhole ? Math.ceil(length / BLOCK_TOKENS) : NUM_BLOCKS;
  for (let i = 0; i < numBlocks; i++) {
    const start = isWhole ? i * BLOCK_TOKENS : Math.floor(i * (length - BLOCK_TOKENS) / (NUM_BLOCKS - 1));
    visit(reader.read(start, Math.min(BLOCK_TOKENS, length - start)), start);
  }
}
