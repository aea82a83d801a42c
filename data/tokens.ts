/**
 * Tokens where they lie: in a file, of which samples are read by position, or in shared memory. So data may be larger
 * than memory, and devices share them without a copy.
 *
 * @module
 */
import { fileProblem, UsageError } from "../files/mod.ts";
import { toShared } from "../kernels/mod.ts";

/** Bytes of a token, by its type. */
export const TOKEN_BYTES = { uint8: 1, uint16: 2, uint32: 4 } as const;
/** How a token is stored, little-endian. */
export type TokenDType = keyof typeof TOKEN_BYTES;

/** Tokens in a file: plain data that a worker can be sent. */
export interface FileTokens {
  /** Tells where tokens are. */
  readonly kind: "file";
  /** The file. */
  readonly path: string;
  /** Of the first token. */
  readonly byteOffset: number;
  /** Type of a token. */
  readonly dtype: TokenDType;
  /** Number of tokens. */
  readonly length: number;
}

/** Tokens in shared memory, which can be posted to a worker without a copy. */
export interface MemoryTokens {
  /** Tells where tokens are. */
  readonly kind: "memory";
  /** All of them. */
  readonly values: TokenArray;
  /** Type of a token. */
  readonly dtype: TokenDType;
  /** Number of tokens. */
  readonly length: number;
}

/** Tokens, wherever they are. */
export type Tokens = FileTokens | MemoryTokens;

/** Tokens in memory. */
export type TokenArray = Uint8Array | Uint16Array | Uint32Array;

/** Reads runs of tokens. */
export interface TokenReader extends Disposable {
  /**
   * The tokens from `start` on; valid until the next call.
   *
   * @throws {UsageError} If the file is gone, or has become shorter.
   */
  read(start: number, count: number): TokenArray;
}

const DTYPES = { 1: "uint8", 2: "uint16", 4: "uint32" } as const;

/** Copies tokens into shared memory. */
export function shareTokens(tokens: TokenArray): MemoryTokens {
  const dtype = DTYPES[tokens.BYTES_PER_ELEMENT as keyof typeof DTYPES];
  return { kind: "memory", values: toShared(tokens), dtype, length: tokens.length };
}

/** Tokens of bytes in memory, as they would lie in a file. */
export function tokensOfBytes(bytes: Uint8Array<ArrayBuffer>, dtype: TokenDType): MemoryTokens {
  const whole = bytes.byteOffset % TOKEN_BYTES[dtype] === 0 ? bytes : bytes.slice();
  return shareTokens(viewOf(whole.buffer, whole.byteOffset, dtype, whole.length / TOKEN_BYTES[dtype]));
}

/** Opens tokens; a file is opened when it is first read. */
export function openTokens(tokens: Tokens): TokenReader {
  return tokens.kind === "file" ? new FileReader(tokens) : new MemoryReader(tokens);
}

class MemoryReader implements TokenReader {
  readonly #values: TokenArray;

  constructor({ values }: MemoryTokens) {
    this.#values = values;
  }

  read(start: number, count: number): TokenArray {
    return this.#values.subarray(start, start + count);
  }

  [Symbol.dispose](): void {}
}

class FileReader implements TokenReader {
  readonly #tokens: FileTokens;
  #file: Deno.FsFile | undefined;
  #buffer = new ArrayBuffer(0);

  constructor(tokens: FileTokens) {
    this.#tokens = tokens;
  }

  read(start: number, count: number): TokenArray {
    const { path, byteOffset, dtype } = this.#tokens, numBytes = count * TOKEN_BYTES[dtype];
    if (this.#buffer.byteLength < numBytes) this.#buffer = new ArrayBuffer(numBytes);
    const bytes = new Uint8Array(this.#buffer, 0, numBytes),
      position = byteOffset + start * TOKEN_BYTES[dtype];
    try {
      this.#file ??= Deno.openSync(path);
      this.#file.seekSync(position, Deno.SeekMode.Start);
      for (let done = 0; done < numBytes;) {
        const read = this.#file.readSync(bytes.subarray(done));
        if (read === null) {
          throw new UsageError(
            `it ends at byte ${position + done}; it has become shorter since the run began`,
          );
        }
        done += read;
      }
    } catch (error) {
      throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
    }
    return viewOf(this.#buffer, 0, dtype, count);
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

function viewOf(buffer: ArrayBuffer, byteOffset: number, dtype: TokenDType, length: number): TokenArray {
  if (dtype === "uint8") return new Uint8Array(buffer, byteOffset, length);
  if (dtype === "uint16") return new Uint16Array(buffer, byteOffset, length);
  return new Uint32Array(buffer, byteOffset, length);
}
