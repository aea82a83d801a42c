/** Bytes that are read at once. */
const READ_BYTES = 1 << 20;

/** Scalars that a file holds. */
export type ScalarType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "bool" | "u64" | "i64" | "f64";

/** Reads numbers and texts of a file from the start, one after the other. */
export class FileCursor {
  /** Bytes of the file. */
  readonly size: number;
  readonly #file: Deno.FsFile;
  readonly #fail: (problem: string) => never;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);
  /** Place in the file of the first of `#bytes`. */
  #first = 0;
  #at = 0;

  /** `fail` says that the file is too short, or holds what cannot be. */
  constructor(file: Deno.FsFile, size: number, fail: (problem: string) => never) {
    this.#file = file;
    this.size = size;
    this.#fail = fail;
  }

  /** Bytes that have been read. */
  get position(): number {
    return this.#first + this.#at;
  }

  /** The next bytes, fewer at the end of the file; they are not taken. */
  peek(length: number): Uint8Array {
    this.#need(Math.min(length, this.size - this.position), "");
    return this.#bytes.subarray(this.#at, this.#at + length);
  }

  /** Leaves bytes out. */
  skip(length: number): void {
    this.#take(length, "");
  }

  /** A number of 32 bits; `what` is for messages. */
  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }

  /** A number of 64 bits that counts something. */
  u64(what: string): number {
    const at = this.#take(8, what), value = this.#view.getBigUint64(at, true);
    if (value <= Number.MAX_SAFE_INTEGER) return Number(value);
    return this.#fail(`it is damaged: a number of ${what} is ${value}`);
  }

  /** A number of any type. */
  scalar(type: ScalarType, what: string): number | boolean {
    switch (type) {
      case "u8":
        return this.#view.getUint8(this.#take(1, what));
      case "i8":
        return this.#view.getInt8(this.#take(1, what));
      case "u16":
        return this.#view.getUint16(this.#take(2, what), true);
      case "i16":
        return this.#view.getInt16(this.#take(2, what), true);
      case "u32":
        return this.u32(what);
      case "i32":
        return this.#view.getInt32(this.#take(4, what), true);
      case "f32":
        return this.#view.getFloat32(this.#take(4, what), true);
      case "bool":
        return this.#view.getUint8(this.#take(1, what)) !== 0;
      case "u64":
        return Number(this.#view.getBigUint64(this.#take(8, what), true));
      case "i64":
        return Number(this.#view.getBigInt64(this.#take(8, what), true));
      case "f64":
        return this.#view.getFloat64(this.#take(8, what), true);
    }
  }

  /** A text with its length in front. */
  text(what: string): string {
    const length = this.u64(what), at = this.#take(length, what);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  /** The place in `#bytes` of the next ones, which are taken. */
  #take(length: number, what: string): number {
    this.#need(length, what);
    this.#at += length;
    return this.#at - length;
  }

  #need(length: number, what: string): void {
    if (this.#at + length <= this.#bytes.length) return;
    const end = this.position + length;
    if (end > this.size) {
      this.#fail(`it is truncated: ${what || "it"} ends at byte ${end}, the file at ${this.size}`);
    }
    const rest = this.#bytes.subarray(this.#at), first = this.position;
    const bytes = new Uint8Array(Math.min(this.size - first, Math.max(length, READ_BYTES)));
    bytes.set(rest);
    for (let done = rest.length; done < bytes.length;) {
      const count = this.#file.readSync(bytes.subarray(done));
      if (count === null) this.#fail(`it ends at byte ${first + done}`);
      else done += count;
    }
    this.#first = first;
    this.#at = 0;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
