import { UsageError } from "../files/mod.ts";
import type { HubFiles } from "./hub_tokenizer.ts";

/** The classes whose words are cut as GPT-2's. */
const CLASSES = [undefined, "GPT2Tokenizer", "GPT2TokenizerFast"];

/**
 * `vocab.json` and `merges.txt`, the files of GPT-2, as a `tokenizer.json`.
 *
 * @param path Of the folder, for messages.
 * @throws {UsageError} If they are not that, or of a tokenizer that cuts words in another way.
 */
export function tokenizerOfMerges(
  { vocab, merges, config }: {
    readonly vocab: unknown;
    readonly merges: string;
    readonly config: HubFiles["config"];
  },
  path: string,
): HubFiles {
  const kind = config.tokenizer_class as string | undefined;
  if (!CLASSES.includes(kind)) {
    throw new UsageError(
      `Cannot use vocab.json and merges.txt of ${path}: they do not say how a ${kind} cuts words; write its ` +
        `tokenizer.json with transformers: AutoTokenizer.from_pretrained("${path}").save_pretrained("${path}")`,
    );
  }
  if (
    typeof vocab !== "object" || vocab === null || Object.values(vocab).some((id) => !Number.isInteger(id))
  ) {
    throw new UsageError(`Cannot use ${path}/vocab.json: it must be an object of tokens with their ids`);
  }
  const table = vocab as Record<string, number>;
  const lines = merges.split("\n").map((line) => line.trimEnd()).filter((line) =>
    line !== "" && !line.startsWith("#version")
  );
  const broken = lines.find((line) => line.split(" ").length !== 2);
  if (broken !== undefined) {
    throw new UsageError(
      `Cannot use ${path}/merges.txt: ${JSON.stringify(broken)} is not two tokens with a space between`,
    );
  }
  return {
    tokenizer: byteLevelBpe({ vocab: table, merges: lines, special: specialNames(table, config) }),
    config,
  };
}

/** The parts of a byte-level BPE. */
export interface BpeParts {
  /** Ids of tokens, whose bytes are written as printable characters. */
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs, the first to merge first: `a b`. */
  readonly merges: readonly string[];
  /** Names of tokens that no text makes. */
  readonly special: readonly string[];
}

/** A `tokenizer.json` of a byte-level BPE that cuts words as GPT-2 does. */
export function byteLevelBpe({ vocab, merges, special }: BpeParts): HubFiles["tokenizer"] {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    ...{ truncation: null, padding: null },
    added_tokens: special.map((content) => ({ id: vocab[content], content, ...flags })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      ...{
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
      },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab, merges },
    },
  };
}

/** Special tokens that the configuration names and the vocabulary has; GPT-2's own without one. */
function specialNames(vocab: Readonly<Record<string, number>>, config: HubFiles["config"]): string[] {
  const named = ["bos_token", "eos_token", "unk_token", "pad_token"].map((key) => config[key]).map((token) =>
    typeof token === "object" && token !== null ? (token as { content?: unknown }).content : token
  );
  return [...new Set(["<|endoftext|>", ...named])].filter((name): name is string =>
    typeof name === "string" && Object.hasOwn(vocab, name)
  );
}
