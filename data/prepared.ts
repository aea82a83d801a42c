/**
 * Tokens that a text was turned into once: `NAME.bin`, and `NAME.json` that says of what text, and by which tokenizer.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { fileProblem, readJson, UsageError, writeAll } from "../files/mod.ts";
import { BYTES, encodeParts, idType, type Tokenizer } from "../tokenizers/mod.ts";
import { openBytes } from "./raw_bytes.ts";
import { openText, textParts } from "./text.ts";
import type { TokenDType } from "./tokens.ts";

/** `NAME.json`. */
export interface TokenManifest {
  /** Says what the file is. */
  readonly format: typeof MANIFEST_FORMAT;
  /** Of this form. */
  readonly version: 1;
  /** The text: its name, bytes, and SHA-256. */
  readonly text: { readonly name: string; readonly bytes: number; readonly sha256: string };
  /** What made tokens of it. */
  readonly tokenizer: { readonly name: string; readonly hash: string; readonly vocab: number };
  /** How many there are. */
  readonly tokens: number;
  /** Their type. */
  readonly dtype: Exclude<TokenDType, "uint8">;
}

/** In every manifest. */
export const MANIFEST_FORMAT = "tessera-tokens";

/** Where the manifest of a token file would be. */
export function manifestPath(path: string): string {
  return path.replace(/\.bin$/, "") + ".json";
}

/**
 * The manifest beside a token file; undefined if there is none, or another program's file has its name.
 *
 * @throws {UsageError} If it is damaged, or the tokens are not as many as it says.
 */
export async function findManifest(path: string, numBytes: number): Promise<TokenManifest | undefined> {
  const file = manifestPath(path);
  if (file === path || !await isThere(file)) return undefined;
  const json = await readJson(file) as TokenManifest | null;
  if (json?.format !== MANIFEST_FORMAT) return undefined;
  const size = json.dtype === "uint32" ? 4 : 2;
  const isWhole = json.version === 1 && typeof json.tokenizer?.hash === "string" &&
    Number.isInteger(json.tokens);
  if (isWhole && json.tokens * size === numBytes) return json;
  throw new UsageError(
    `Cannot use ${path}: ${file} says that it has ${json.tokens} tokens of ${json.dtype}, and it has ${numBytes} bytes; ` +
      "prepare it again",
  );
}

/**
 * Refuses tokens that another tokenizer made than the model's.
 *
 * @param open Opens that of the model; what cannot be opened is nothing to compare with.
 * @throws {UsageError} Names both.
 */
export async function checkTokenizer(
  path: string,
  { tokenizer }: Pick<TokenManifest, "tokenizer">,
  open: (() => Promise<Tokenizer>) | undefined,
): Promise<void> {
  const own = await open?.().catch(() => undefined);
  if (own === undefined || own === BYTES || own.hash === tokenizer.hash) return;
  throw new UsageError(
    `Cannot train on ${path}: its tokens are those of ${tokenizer.name}, the model's those of ${own.name}; prepare the ` +
      "text again: data prepare FILE --tokenizer DIR --out NAME",
  );
}

/** A text to prepare, and where it goes. */
export interface PrepareOptions {
  /** The text. */
  readonly file: string;
  /** Makes tokens of it. */
  readonly tokenizer: Tokenizer;
  /** `NAME`, or `NAME.bin`. */
  readonly out: string;
}

/**
 * Turns a text into tokens in a file, with a manifest beside it.
 *
 * Cost: memory for a piece of the text; that of the whole one if its tokenizer cannot cut it.
 *
 * @throws {UsageError} If the text cannot be read, or the file cannot be written.
 */
export async function prepareTokens({ file, tokenizer, out }: PrepareOptions): Promise<TokenManifest> {
  const raw = await openBytes(file), text = openText(raw), hash = createHash("sha256");
  const bin = `${out.replace(/\.bin$/, "")}.bin`, unfinished = `${bin}.unfinished`, dtype = idType(tokenizer);
  let tokens = 0;
  const parts = function* () {
    for (const part of textParts(text)) {
      hash.update(part);
      yield part;
    }
  };
  try {
    using to = await Deno.open(unfinished, { write: true, create: true, truncate: true });
    for (const ids of encodeParts(tokenizer, parts())) {
      const block = dtype === "uint16" ? Uint16Array.from(ids) : Uint32Array.from(ids);
      await writeAll(to, new Uint8Array(block.buffer));
      tokens += ids.length;
    }
  } catch (error) {
    await Deno.remove(unfinished).catch(() => {});
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Cannot write ${bin}: ${fileProblem(error)}; choose another --out`);
  }
  const manifest: TokenManifest = {
    ...{ format: MANIFEST_FORMAT, version: 1 },
    text: { name: file, bytes: text.length, sha256: hash.digest("hex") },
    tokenizer: { name: tokenizer.name, hash: tokenizer.hash, vocab: tokenizer.vocab },
    ...{ tokens, dtype },
  };
  await Deno.writeTextFile(manifestPath(bin), JSON.stringify(manifest, null, 1) + "\n");
  await Deno.rename(unfinished, bin);
  return manifest;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
