/**
 * Token files: nanoGPT's `.bin` without a header, llm.c's `.bin` with one, and numpy's `.npy`.
 *
 * Sources: karpathy/nanoGPT, data/openwebtext/prepare.py; karpathy/llm.c, llmc/dataloader.h (header of 256 int32: magic,
 * version, number of tokens).
 *
 * @module
 */
import { isNpy, readNpyHeader, UsageError } from "../files/mod.ts";
import type { RawBytes } from "./raw_bytes.ts";
import { TOKEN_BYTES, type TokenDType, type Tokens, tokensOfBytes } from "./tokens.ts";

/** Tokens of a file, and what it says of them. */
export interface OpenedTokens {
  /** Where they lie. */
  readonly tokens: Tokens;
  /** Every token is smaller, as far as the format says. */
  readonly vocab: number;
}

/** Vocabulary of GPT-2, whose tokens a `.bin` has unless something says otherwise. */
export const GPT2_VOCAB = 50257;

const HEADER_BYTES = 1024;
/** llm.c's files of tokens by their first number. */
const LLM_C: Readonly<
  Record<number, { readonly version: number; readonly dtype: TokenDType; readonly vocab: number }>
> = {
  20240520: { version: 1, dtype: "uint16", vocab: GPT2_VOCAB },
  20240801: { version: 7, dtype: "uint32", vocab: 128256 },
};
/** Its other files. */
const LLM_C_OTHERS: Readonly<Record<number, string>> = {
  20240326: "a model of llm.c",
  20240327: "a state of llm.c's tests",
  20240328: "a tokenizer of llm.c",
  20240522: "an evaluation of llm.c, whose rows are no running text",
};
/** numpy's types that are read; a negative id is outside of every vocabulary as uint32. */
const NPY: Readonly<Record<string, TokenDType>> = {
  "|u1": "uint8",
  "<u2": "uint16",
  "<u4": "uint32",
  "<i4": "uint32",
};

/** Whether a file holds token ids: by its name, by how it begins, or as the user says of what type they are. */
export function isTokenFile({ name, read }: RawBytes, dtype?: TokenDType): boolean {
  const isText = /\.(?:txt|text|md)$/i.test(name);
  return name.toLowerCase().endsWith(".bin") || isNpy(read(0, 6)) || (dtype !== undefined && !isText);
}

/**
 * Says where the tokens of a file lie.
 *
 * @param dtype What they are, given by the user; otherwise what the file says, uint16 without a header.
 * @throws {UsageError} If the file is truncated, or not of this type by all that can be seen.
 */
export function openTokenFile(raw: RawBytes, dtype: TokenDType | undefined): OpenedTokens {
  if (isNpy(raw.read(0, 6))) return openNpy(raw, dtype);
  const header = raw.read(0, 12),
    magic = header.length < 12 ? 0 : new DataView(header.buffer).getInt32(0, true);
  if (Object.hasOwn(LLM_C_OTHERS, magic)) {
    throw new UsageError(
      `Cannot train on ${raw.path}: it is ${LLM_C_OTHERS[magic]} (${magic}); give one of its token files`,
    );
  }
  return Object.hasOwn(LLM_C, magic) ? openLlmC(raw, dtype, magic) : openPlain(raw, dtype);
}

function openPlain(raw: RawBytes, dtype: TokenDType = "uint16"): OpenedTokens {
  const { path, size } = raw, bytesEach = TOKEN_BYTES[dtype];
  if (size % bytesEach !== 0) {
    throw new UsageError(
      `Cannot train on ${path}: as ${dtype} it holds ${bytesEach} bytes a token, and its ${size} bytes are no multiple; ` +
        `it may be truncated, or of another --dtype`,
    );
  }
  return { tokens: tokensAt(raw, 0, dtype), vocab: GPT2_VOCAB };
}

function openLlmC(raw: RawBytes, given: TokenDType | undefined, magic: number): OpenedTokens {
  const { version, dtype, vocab } = LLM_C[magic], { path, size } = raw;
  const header = new DataView(raw.read(0, 12).buffer), found = header.getInt32(4, true);
  if (found !== version) {
    throw new UsageError(
      `Cannot train on ${path}: its header (${magic}) has version ${found}, known is ${version}; it is damaged or newer`,
    );
  }
  checkGiven(path, given, dtype, `llm.c's header (${magic})`);
  const count = header.getUint32(8, true), expected = HEADER_BYTES + count * TOKEN_BYTES[dtype];
  if (size !== expected) {
    throw new UsageError(
      `Cannot train on ${path}: its header says ${count} tokens, so ${expected} bytes, but it has ${size}; ` +
        `it is truncated or damaged`,
    );
  }
  return { tokens: tokensAt(raw, HEADER_BYTES, dtype), vocab };
}

function openNpy(raw: RawBytes, given: TokenDType | undefined): OpenedTokens {
  const { path, size } = raw, header = readNpyHeader(raw.read(0, 1 << 16));
  const refuse = (problem: string): never => {
    throw new UsageError(`Cannot train on ${path}: ${problem}`);
  };
  if (header === undefined) return refuse("its header is no numpy header; it is damaged");
  const { descr, shape, byteOffset } = header, dtype = NPY[descr];
  if (dtype === undefined) {
    return refuse(
      `it is an array of ${descr}, supported are ${
        Object.keys(NPY).join(", ")
      }; save it by astype(np.uint16) or np.uint32`,
    );
  }
  if (shape.length !== 1) {
    return refuse(`its shape is (${shape.join(", ")}), supported is one dim; save it by ravel()`);
  }
  checkGiven(path, given, dtype, `its header (${descr})`);
  const expected = byteOffset + shape[0] * TOKEN_BYTES[dtype];
  if (size !== expected) {
    return refuse(
      `its header says ${
        shape[0]
      } tokens, so ${expected} bytes, but it has ${size}; it is truncated or damaged`,
    );
  }
  return { tokens: tokensAt(raw, byteOffset, dtype), vocab: GPT2_VOCAB };
}

function checkGiven(path: string, given: TokenDType | undefined, dtype: TokenDType, header: string): void {
  if (given === undefined || given === dtype) return;
  throw new UsageError(
    `Cannot use --dtype ${given} for ${path}: ${header} says ${dtype}; leave the option out`,
  );
}

/** The tokens of a file from a byte on: in it, or in memory if it was unpacked. */
export function tokensAt({ path, size, memory }: RawBytes, byteOffset: number, dtype: TokenDType): Tokens {
  if (memory !== undefined) return tokensOfBytes(memory.subarray(byteOffset), dtype);
  return { kind: "file", path, byteOffset, dtype, length: (size - byteOffset) / TOKEN_BYTES[dtype] };
}
