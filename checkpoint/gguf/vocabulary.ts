/**
 * Tokenizers as GGUF has them.
 *
 * Source: llama.cpp, `gguf-py/gguf/vocab.py` and `llama-vocab.cpp`; SentencePiece's pieces as merges: transformers,
 * `convert_slow_tokenizer.py`, `SentencePieceExtractor`.
 *
 * @module
 */
import { type GgufMetadata, type TypedValue, UsageError } from "../../files/mod.ts";
import { byteLevelBpe, type HubFiles, tokenizerTexts } from "../../tokenizers/mod.ts";

/** What stands for a space in SentencePiece's pieces. */
const SPACE = "\u2581";
/** Kinds of tokens. */
const NORMAL = 1, CONTROL = 3, USER = 4, UNUSED = 5;

/** How words are cut, by the names of llama.cpp; GPT-2's needs no pattern. */
const WORDS: Readonly<Record<string, string | undefined>> = {
  "gpt-2": undefined,
  "default": undefined,
  "llama-bpe":
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "qwen2":
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};

/** Special tokens by their names in `tokenizer_config.json`. */
const SPECIAL = { bos_token: "bos", eos_token: "eos", unk_token: "unknown", pad_token: "padding" } as const;

/**
 * The files of a tokenizer that metadata describe; none if there is no vocabulary, or only one of names.
 *
 * @throws {UsageError} If it is of a kind that is not computed here.
 */
export function textsOf(metadata: GgufMetadata, path: string): Record<string, string> {
  const get = (key: string) => metadata.get(`tokenizer.ggml.${key}`), model = get("model");
  const tokens = get("tokens") as readonly string[] | undefined;
  if (model === undefined || tokens === undefined || model === "none") return {};
  const types = get("token_type") as readonly number[] | undefined ?? [];
  const template = metadata.get("tokenizer.chat_template");
  const config: Record<string, unknown> = {
    add_bos_token: get("add_bos_token") ?? model === "llama",
    add_eos_token: get("add_eos_token") ?? false,
    ...(typeof template === "string" && { chat_template: template }),
  };
  for (const [name, key] of Object.entries(SPECIAL)) {
    const id = get(`${key}_token_id`);
    if (typeof id === "number" && tokens[id] !== undefined) config[name] = tokens[id];
  }
  if (model === "gpt2") {
    return tokenizerTexts({ tokenizer: byteLevelOf(metadata, tokens, types, path), config });
  }
  if (model === "llama") {
    const scores = get("scores") as readonly number[] | undefined ?? [];
    const addsSpace = get("add_space_prefix") ?? true;
    return tokenizerTexts({ tokenizer: piecesOf(tokens, types, scores, addsSpace === true), config });
  }
  throw new UsageError(
    `Cannot use ${path}: its tokenizer is of the kind ${model}, supported are gpt2, llama`,
  );
}

function byteLevelOf(
  metadata: GgufMetadata,
  tokens: readonly string[],
  types: readonly number[],
  path: string,
): HubFiles["tokenizer"] {
  const words = String(metadata.get("tokenizer.ggml.pre") ?? "default");
  if (!Object.hasOwn(WORDS, words)) {
    const known = Object.keys(WORDS).join(", ");
    throw new UsageError(`Cannot use ${path}: its tokenizer cuts words as ${words}, supported are ${known}`);
  }
  const merges = metadata.get("tokenizer.ggml.merges") as readonly string[] | undefined ?? [];
  const special = tokens.filter((_, id) => types[id] === CONTROL || types[id] === USER);
  const plain = byteLevelBpe({ vocab: idsOf(tokens), merges, special }), pattern = WORDS[words];
  if (pattern === undefined) return plain;
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const split = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
  return {
    ...plain,
    normalizer: words === "qwen2" ? { type: "NFC" } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [split, byteLevel] },
    decoder: byteLevel,
    model: { ...plain.model as object, ignore_merges: words === "llama-bpe" },
  };
}

function idsOf(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}

/** SentencePiece's pieces: what two of them make is merged the earlier, the higher its score. */
function piecesOf(
  tokens: readonly string[],
  types: readonly number[],
  scores: readonly number[],
  addsSpace: boolean,
): HubFiles["tokenizer"] {
  const vocab = idsOf(tokens),
    special = tokens.filter((_, id) => types[id] === CONTROL || types[id] === USER);
  const isNormal = (token: string) =>
    Object.hasOwn(vocab, token) && (types[vocab[token]] ?? NORMAL) === NORMAL;
  const found: { readonly pair: [string, string]; readonly score: number; readonly ids: [number, number] }[] =
    [];
  tokens.forEach((token, id) => {
    if ((types[id] ?? NORMAL) !== NORMAL) return;
    const letters = [...token];
    for (let i = 1; i < letters.length; i++) {
      const pair: [string, string] = [letters.slice(0, i).join(""), letters.slice(i).join("")];
      if (!pair.every(isNormal)) continue;
      found.push({ pair, score: scores[id] ?? -id, ids: [vocab[pair[0]], vocab[pair[1]]] });
    }
  });
  found.sort((a, b) => b.score - a.score || a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]);
  const merges = found.map(({ pair }) => pair), base = byteLevelBpe({ vocab, merges: [], special });
  const prepend = addsSpace ? [{ type: "Prepend", prepend: SPACE }] : [];
  const strip = addsSpace ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  return {
    ...base,
    normalizer: {
      type: "Sequence",
      normalizers: [...prepend, { type: "Replace", pattern: { String: " " }, content: SPACE }],
    },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        ...[{ type: "ByteFallback" }, { type: "Fuse" }],
        ...strip,
      ],
    },
    model: { ...base.model as object, merges, byte_fallback: true, unk_token: "<unk>", fuse_unk: true },
  };
}

/** What `tokenizer.json` and `tokenizer_config.json` say, as far as it counts here. */
export interface StoredTokenizer {
  /** `tokenizer.json`. */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** `tokenizer_config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * Metadata of a tokenizer; of a model without one, names of its ids, so that programs that need a vocabulary have one.
 *
 * @param vocab Of the model: tokens that the tokenizer has not are filled in.
 * @returns The metadata, and why the tokenizer could not be written, if so.
 */
export function vocabularyOf(
  stored: StoredTokenizer | undefined,
  vocab: number,
): { readonly metadata: Map<string, TypedValue>; readonly problem?: string } {
  const model = stored?.tokenizer.model as {
    type?: string;
    vocab?: Record<string, number>;
    merges?: unknown[];
  } | undefined;
  const words = stored && wordsOf(stored.tokenizer);
  const isKnown = model?.type === "BPE" && words !== undefined;
  const problem = stored === undefined || isKnown
    ? undefined
    : "the tokenizer is left out, as it is no byte-level BPE that llama.cpp knows";
  const tokens = Array.from({ length: vocab }, (_, id) => `[${id}]`);
  const types: number[] = tokens.map(() => isKnown ? UNUSED : NORMAL), ids: Record<string, number> = {};
  let merges = ["[0] [1]"];
  if (isKnown) {
    for (const [token, id] of Object.entries(model.vocab!)) {
      ids[token] = id;
      [tokens[id], types[id]] = [token, NORMAL];
    }
    for (const { id, content, special } of addedOf(stored!.tokenizer)) {
      ids[content] = id;
      [tokens[id], types[id]] = [content, special ? CONTROL : USER];
    }
    const pairs = model.merges!.map((pair) => Array.isArray(pair) ? pair.join(" ") : String(pair));
    // llama.cpp wants one at least.
    merges = pairs.length > 0 ? pairs : [`${tokens[0]} ${tokens[1]}`];
  }
  const metadata = new Map<string, TypedValue>([
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.pre", { type: "string", value: words ?? "gpt-2" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "i32s", value: types }],
    ["tokenizer.ggml.merges", { type: "strings", value: merges }],
  ]);
  if (isKnown) addSettings(metadata, stored!.config, ids);
  return problem === undefined ? { metadata } : { metadata, problem };
}

function addSettings(
  metadata: Map<string, TypedValue>,
  config: StoredTokenizer["config"],
  ids: Readonly<Record<string, number>>,
): void {
  for (const [name, key] of Object.entries(SPECIAL)) {
    const token = config[name], content = (token as { content?: unknown } | null)?.content ?? token;
    const id = typeof content === "string" ? ids[content] : undefined;
    if (id !== undefined) metadata.set(`tokenizer.ggml.${key}_token_id`, { type: "u32", value: id });
  }
  metadata.set("tokenizer.ggml.add_bos_token", { type: "bool", value: config.add_bos_token === true });
  if (typeof config.chat_template === "string") {
    metadata.set("tokenizer.chat_template", { type: "string", value: config.chat_template });
  }
}

function addedOf(tokenizer: StoredTokenizer["tokenizer"]) {
  return (tokenizer.added_tokens ?? []) as readonly { id: number; content: string; special: boolean }[];
}

/** llama.cpp's name of how a tokenizer cuts words; undefined if it has none. */
function wordsOf({ pre_tokenizer }: StoredTokenizer["tokenizer"]): string | undefined {
  const text = JSON.stringify(pre_tokenizer ?? null);
  if (!text.includes('"ByteLevel"')) return undefined;
  const regex = /"Regex":("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  if (regex === undefined) return text.includes('"add_prefix_space":true') ? undefined : "gpt-2";
  const pattern = JSON.parse(regex);
  return Object.keys(WORDS).find((name) => WORDS[name] === pattern);
}
