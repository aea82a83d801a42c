/**
 * Tokenizers of Hugging Face's form: `tokenizer.json` and `tokenizer_config.json`.
 *
 * @module
 */
import type { Tokenizer as HubLibrary } from "@huggingface/tokenizers";
import { createHash } from "node:crypto";
import { UsageError } from "../files/mod.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Parsed files of a tokenizer. */
export interface HubFiles {
  /** `tokenizer.json`. */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** `tokenizer_config.json`, with what `special_tokens_map.json` adds. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * A tokenizer of parsed files.
 *
 * @param path For messages.
 * @throws {UsageError} If the files are none of a tokenizer that can be computed.
 */
export async function hubTokenizer({ tokenizer, config }: HubFiles, path: string): Promise<Tokenizer> {
  const library = await open({ tokenizer, config }, path);
  const own = (text: string) => library.encode(text, { add_special_tokens: false }).ids;
  const special = specialIds(library, config);
  return {
    name: path,
    hash: createHash("sha256").update(JSON.stringify([tokenizer, special])).digest("hex"),
    vocab: [...library.get_vocab(true).values()].reduce((most, id) => Math.max(most, id + 1), 0),
    special,
    isSplittable: isByteLevel(tokenizer),
    encode: (text, isWhole = false) => {
      return isWhole ? [...special.prefix, ...own(text), ...special.suffix] : own(text);
    },
    // Clean-up takes spaces away that the text has: ids would not decode to what was encoded.
    decode: (ids) =>
      library.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
    idOf: (token) => library.token_to_id(token),
    nameOf: (id) => library.id_to_token(id),
  };
}

async function open({ tokenizer, config }: HubFiles, path: string): Promise<HubLibrary> {
  const { Tokenizer: Library } = await import("@huggingface/tokenizers");
  try {
    return new Library(tokenizer, config);
  } catch (error) {
    const [problem] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new UsageError(
      `Cannot use ${path}: ${problem}; it must be a tokenizer.json of BPE, Unigram or WordPiece`,
    );
  }
}

/** What the post-processor puts around a text, and what `add_bos_token` and `add_eos_token` say of it. */
function specialIds(library: HubLibrary, config: HubFiles["config"]): Tokenizer["special"] {
  const probe = "a", own = library.encode(probe, { add_special_tokens: false }).ids;
  const whole = library.encode(probe).ids, start = findRun(whole, own);
  const around = start < 0
    ? { prefix: [], suffix: [] }
    : { prefix: whole.slice(0, start), suffix: whole.slice(start + own.length) };
  return {
    prefix: asSaid(around.prefix, config.add_bos_token, tokenId(library, config.bos_token)),
    suffix: asSaid(around.suffix, config.add_eos_token, tokenId(library, config.eos_token)),
  };
}

function asSaid(found: readonly number[], isWanted: unknown, id: number | undefined): readonly number[] {
  if (typeof isWanted !== "boolean" || id === undefined || found.includes(id) === isWanted) return found;
  return isWanted ? [id] : found.filter((other) => other !== id);
}

/** The id of a token that a configuration names: a string, or an object with its content. */
function tokenId(library: HubLibrary, token: unknown): number | undefined {
  const name = typeof token === "object" && token !== null ? (token as { content?: unknown }).content : token;
  return typeof name === "string" ? library.token_to_id(name) : undefined;
}

/** Where a run of ids begins in others. */
function findRun(ids: readonly number[], run: readonly number[]): number {
  return ids.findIndex((_, i) => run.every((id, j) => ids[i + j] === id));
}

/** Words are cut before they are encoded, and nothing is put in front of a text. */
function isByteLevel({ pre_tokenizer: pre, normalizer }: HubFiles["tokenizer"]): boolean {
  const text = JSON.stringify(pre ?? null);
  return text.includes('"ByteLevel"') && !text.includes('"add_prefix_space":true') && isHarmless(normalizer);
}

/** Characters are composed, and nothing else is changed: that does not go beyond a line. */
function isHarmless(normalizer: unknown): boolean {
  return normalizer === null || normalizer === undefined || (normalizer as { type?: unknown }).type === "NFC";
}
