/**
 * What stands beside nanoGPT's `train.bin`: `val.bin`, and for ids of characters `meta.pkl` with their number.
 *
 * Source: karpathy/nanoGPT, data/shakespeare_char/prepare.py.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";

/** The path of `val.bin` beside a `train.bin`; undefined if there is none. */
export async function findValidation(path: string): Promise<string | undefined> {
  if (!/(?:^|[\\/])train\.bin$/.test(path)) return undefined;
  const beside = path.replace(/train\.bin$/, "val.bin");
  return await isFile(beside) ? beside : undefined;
}

/** A vocabulary, and the file that says so. */
export interface NamedVocab {
  /** Every token is smaller. */
  readonly vocab: number;
  /** `meta.pkl` beside the tokens. */
  readonly file: string;
}

/**
 * The vocabulary that `meta.pkl` beside a token file says; undefined without one.
 *
 * @throws {UsageError} If it says none that can be found.
 */
export async function findMeta(path: string): Promise<NamedVocab | undefined> {
  const file = path.replace(/[^\\/]*$/, "meta.pkl");
  if (!await isFile(file)) return undefined;
  const vocab = readVocabSize(await Deno.readFile(file));
  if (vocab !== undefined) return { vocab, file };
  throw new UsageError(
    `Cannot use ${file}, which belongs to ${path}: it has no vocab_size that can be read; ` +
      `say the vocabulary by --vocab`,
  );
}

/**
 * The number that a pickle has for `vocab_size`: an integer opcode behind the key, and behind what puts the key into
 * the memo.
 *
 * Source: Python, Lib/pickletools.py (BININT1, BININT2, BININT; MEMOIZE, BINPUT, LONG_BINPUT).
 */
export function readVocabSize(pickle: Uint8Array): number | undefined {
  const key = "vocab_size", text = Array.from(pickle, (byte) => String.fromCharCode(byte)).join("");
  let place = text.indexOf(key);
  if (place < 0) return undefined;
  place += key.length;
  const memo: Record<string, number> = { "\x94": 1, q: 2, r: 5 };
  place += memo[text[place]] ?? 0;
  const bytes: Record<string, number> = { K: 1, M: 2, J: 4 }, count = bytes[text[place]];
  if (count === undefined || place + count >= pickle.length) return undefined;
  let value = 0;
  for (let i = count; i > 0; i--) value = 256 * value + pickle[place + i];
  return value > 0 ? value : undefined;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
