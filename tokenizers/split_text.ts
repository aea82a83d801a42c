import type { Tokenizer } from "./tokenizer.ts";

/** Characters of a piece that is encoded at once, about. */
const PIECE = 1 << 16;
/** A line's end between characters that are no white space, a letter behind it: all byte-level tokenizers cut there. */
const CUT = /[^\s]\n(?=\p{L})/gu;

/**
 * Pieces of a text that comes in parts, which have the ids of the whole one behind the other.
 *
 * @param isSplittable Otherwise there is one piece.
 * @param size Characters of a piece at least.
 */
export function* splitText(
  parts: Iterable<string>,
  isSplittable: boolean,
  size = PIECE,
): Generator<string> {
  let held = "";
  for (const part of parts) {
    held += part;
    let start = 0;
    while (isSplittable && held.length - start > size) {
      CUT.lastIndex = start + size;
      const match = CUT.exec(held);
      if (match === null) break;
      const end = match.index + match[0].length;
      yield held.slice(start, end);
      start = end;
    }
    held = held.slice(start);
  }
  yield held;
}

/** Ids of a text that comes in parts, with what the tokenizer puts around one. */
export function* encodeParts(tokenizer: Tokenizer, parts: Iterable<string>): Generator<readonly number[]> {
  const { special, isSplittable } = tokenizer;
  yield special.prefix;
  for (const piece of splitText(parts, isSplittable)) yield tokenizer.encode(piece);
  yield special.suffix;
}

/** The smallest type of ids of a tokenizer. */
export function idType({ vocab }: Pick<Tokenizer, "vocab">): "uint16" | "uint32" {
  return vocab <= 1 << 16 ? "uint16" : "uint32";
}

/** All ids of {@link encodeParts}, as an array that is as small as they allow. */
export function encodeText(
  tokenizer: Tokenizer,
  parts: Iterable<string>,
): Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  const make = idType(tokenizer) === "uint16" ? Uint16Array : Uint32Array;
  const blocks = Array.from(encodeParts(tokenizer, parts), (ids) => make.from(ids));
  const all = new make(blocks.reduce((sum, block) => sum + block.length, 0));
  let place = 0;
  for (const block of blocks) {
    all.set(block, place);
    place += block.length;
  }
  return all;
}
