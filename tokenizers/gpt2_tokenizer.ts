import { END_OF_TEXT } from "./bpe_file.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens of GPT-2. */
export const GPT2_VOCAB = 50257;

/** GPT-2's tokenizer, which a package has: for models that bring no files. */
export async function gpt2Tokenizer(): Promise<Tokenizer> {
  const { encode } = await import("gpt-tokenizer/encoding/r50k_base");
  const { default: ranks } = await import("gpt-tokenizer/bpeRanks/r50k_base");
  const encoder = new TextEncoder(),
    decoder = new TextDecoder("utf-8", { ignoreBOM: true }),
    end = GPT2_VOCAB - 1;
  // The package's own `decode` gives bytes that were no character to the next call.
  const bytesOf = (id: number): Iterable<number> => {
    const token = ranks[id];
    return typeof token === "string" ? encoder.encode(token) : token ?? [];
  };
  return {
    name: "GPT-2",
    hash: "gpt2",
    vocab: GPT2_VOCAB,
    special: { prefix: [], suffix: [] },
    isSplittable: true,
    // It knows the special token by its name when it decodes only.
    encode: (text) =>
      text.split(END_OF_TEXT).flatMap((part, i) => i === 0 ? encode(part) : [end, ...encode(part)]),
    decode: (ids) => decoder.decode(Uint8Array.from(ids.flatMap((id) => [...bytesOf(id)]))),
    idOf: (token) => token === END_OF_TEXT ? end : undefined,
    nameOf: (id) => id === end ? END_OF_TEXT : undefined,
  };
}
