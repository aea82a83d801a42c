import { storedBytes, type StoredDType, storedLength } from "../tensor_files.ts";
import { fileProblem, UsageError } from "../usage_error.ts";
import { writeAllSync } from "../write_all.ts";
import { typeNumberOf } from "./read.ts";
import { ALIGNMENT, MAGIC, VALUE_TYPES, VERSION } from "./values.ts";

/** A value to write, with its type. */
export type TypedValue =
  | { readonly type: "u32" | "i32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "i32s" | "f32s"; readonly value: readonly number[] };

/** A tensor to write. */
export interface GgufTensor {
  /** Name in the file. */
  readonly name: string;
  /** Sizes of its dims, outermost first. */
  readonly shape: readonly number[];
  /** How it is stored. */
  readonly dtype: StoredDType;
  /** Its bytes, in order, in parts of any length. */
  read(): Iterable<Uint8Array<ArrayBuffer>>;
}

/** What a file is to have. */
export interface GgufToWrite {
  /** What is said of the model, in order. */
  readonly metadata: ReadonlyMap<string, TypedValue>;
  /** In order. */
  readonly tensors: readonly GgufTensor[];
}

/**
 * Writes a file; it is there when it is complete, or not at all.
 *
 * @returns Bytes of the file.
 * @throws {UsageError} If it cannot be written.
 */
export function writeGguf(path: string, { metadata, tensors }: GgufToWrite): number {
  const temporary = `${path}.part`;
  try {
    using file = Deno.openSync(temporary, { write: true, create: true, truncate: true });
    let size = 0;
    const write = (bytes: Uint8Array<ArrayBuffer>) => {
      writeAllSync(file, bytes);
      size += bytes.length;
    };
    const align = () => write(new Uint8Array(aligned(size) - size));
    write(headOf(metadata, tensors));
    for (const tensor of tensors) {
      align();
      for (const part of tensor.read()) write(part);
    }
    align();
    file.syncSync();
    Deno.renameSync(temporary, path);
    return size;
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was not there.
    }
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Cannot write ${path}: ${fileProblem(error)}`);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function headOf(
  metadata: GgufToWrite["metadata"],
  tensors: readonly GgufTensor[],
): Uint8Array<ArrayBuffer> {
  const out = new ByteList();
  out.bytes(new TextEncoder().encode(MAGIC));
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(metadata.size);
  for (const [key, value] of metadata) {
    out.text(key);
    writeValue(out, value);
  }
  let offset = 0;
  for (const { name, shape, dtype } of tensors) {
    out.text(name);
    out.u32(shape.length);
    for (const size of shape.toReversed()) out.u64(size);
    out.u32(typeNumberOf(dtype));
    out.u64(offset);
    offset += aligned(storedBytes(dtype, storedLength({ shape })));
  }
  return out.all();
}

function writeValue(out: ByteList, typed: TypedValue): void {
  const typeOf = (name: typeof VALUE_TYPES[number]) => VALUE_TYPES.indexOf(name);
  switch (typed.type) {
    case "strings":
      out.u32(typeOf("array"));
      out.u32(typeOf("string"));
      out.u64(typed.value.length);
      for (const text of typed.value) out.text(text);
      return;
    case "i32s":
    case "f32s": {
      const element = typed.type === "i32s" ? "i32" : "f32";
      out.u32(typeOf("array"));
      out.u32(typeOf(element));
      out.u64(typed.value.length);
      for (const value of typed.value) out.number(element, value);
      return;
    }
    case "string":
      out.u32(typeOf("string"));
      return out.text(typed.value);
    case "bool":
      out.u32(typeOf("bool"));
      return out.bytes(Uint8Array.of(typed.value ? 1 : 0));
    default:
      out.u32(typeOf(typed.type));
      return out.number(typed.type, typed.value);
  }
}

/** Bytes that become more. */
class ByteList {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];

  bytes(bytes: Uint8Array<ArrayBuffer>): void {
    this.#parts.push(bytes);
  }

  u32(value: number): void {
    this.bytes(new Uint8Array(Uint32Array.of(value).buffer));
  }

  u64(value: number): void {
    this.bytes(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  number(type: "u32" | "i32" | "f32", value: number): void {
    const array = type === "u32" ? Uint32Array : type === "i32" ? Int32Array : Float32Array;
    this.bytes(new Uint8Array(array.of(value).buffer));
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  all(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
