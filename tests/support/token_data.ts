import { shareTokens, type TokenArray, type TokenData } from "../../data/mod.ts";

/** Tokens in memory as the data of a job; all of them train unless told otherwise. */
export function tokenData(
  tokens: TokenArray,
  options: Pick<TokenData, "context"> & Partial<TokenData>,
): TokenData {
  const all = { start: 0, end: tokens.length };
  return {
    kind: "tokens",
    name: "test",
    tokens: shareTokens(tokens),
    vocab: 2 ** 16,
    train: all,
    validation: undefined,
    ...options,
  };
}
