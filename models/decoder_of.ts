import { type CachedLayer, KeyValueCache, type Tape, type Tensor } from "../nn/mod.ts";
import type { DecoderModel, TokenPass } from "./family.ts";

/** The layers of a model that generates, as new tokens go through them. */
export interface DecoderParts {
  /** Longest sequence. */
  readonly context: number;
  /** Elements of the keys of a token, all heads of keys together. */
  readonly keyWidth: number;
  /** Shapes: ids i32 [1, N], result [1, N, C]; positions are those of the tape. */
  embed(tape: Tape, ids: Tensor): Tensor;
  /** Shapes: x and result [1, N, C]. */
  readonly blocks: readonly CachedLayer[];
  /** Shapes: x [1, N, C], result [1, N, V]. */
  head(tape: Tape, x: Tensor): Tensor;
}

/** A model that generates, of its layers. */
export function decoderOf(parts: DecoderParts): DecoderModel {
  const { context, keyWidth, blocks } = parts;
  return {
    context,
    decoder(tape) {
      const caches = blocks.map(() => new KeyValueCache(tape, context, keyWidth));
      const { x, ...pass } = recordPass(tape, parts, { numTokens: 1, caches });
      return { ...pass, logits: parts.head(tape, x) };
    },
    prefill: (tape, numTokens, { caches }) => recordPass(tape, parts, { numTokens, caches }),
  };
}

function recordPass(
  tape: Tape,
  { embed, blocks }: DecoderParts,
  { numTokens, caches }: { readonly numTokens: number } & Pick<TokenPass, "caches">,
): TokenPass & { readonly x: Tensor } {
  const ids = tape.input("ids", [1, numTokens], "i32");
  const positions = tape.positions = tape.input("positions", [1, numTokens], "i32");
  let x = embed(tape, ids);
  for (const [i, block] of blocks.entries()) x = block.forward(tape, x, caches[i]);
  const setPosition = (first: number) => {
    const places = tape.heap.i32(positions.span);
    for (let i = 0; i < numTokens; i++) places[i] = first + i;
    for (const cache of caches) cache.length = first;
  };
  return { ids, positions, caches, setPosition, x };
}
