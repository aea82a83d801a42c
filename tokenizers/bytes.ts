import type { Tokenizer } from "./tokenizer.ts";

/** Ids of bytes. */
const BYTE_VOCAB = 256;

/** UTF-8: every byte is a token. An id above 255 is shown as U+FFFD. */
export const BYTES: Tokenizer = {
  name: "bytes",
  hash: "bytes",
  vocab: BYTE_VOCAB,
  special: { prefix: [], suffix: [] },
  isSplittable: true,
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (ids) => {
    const parts: string[] = [], decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    for (const id of ids) {
      parts.push(
        id < BYTE_VOCAB ? decoder.decode(Uint8Array.of(id), { stream: true }) : decoder.decode() + "\ufffd",
      );
    }
    return parts.join("") + decoder.decode();
  },
  idOf: () => undefined,
  nameOf: () => undefined,
};
