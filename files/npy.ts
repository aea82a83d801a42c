/**
 * Headers of numpy's `.npy` files: magic, version, length of the header, and the text of a Python dictionary.
 *
 * Source: numpy, format of `.npy` files, versions 1.0 to 3.0 (`numpy.lib.format`).
 *
 * @module
 */

/** What an array is, and where its elements begin. */
export interface NpyHeader {
  /** Type of an element, such as `<u2`: byte order, kind, bytes. */
  readonly descr: string;
  /** Whether the first dim varies fastest. */
  readonly isFortranOrder: boolean;
  /** Sizes of its dims. */
  readonly shape: readonly number[];
  /** Of the first element. */
  readonly byteOffset: number;
}

/** Whether a file begins as numpy's do. */
export function isNpy(start: Uint8Array): boolean {
  return String.fromCharCode(...start.subarray(0, 6)) === "\x93NUMPY";
}

/**
 * Reads the header of an array.
 *
 * @param start Bytes from the start of the file; the header need be among them.
 * @returns undefined if it is not one.
 */
export function readNpyHeader(start: Uint8Array): NpyHeader | undefined {
  if (!isNpy(start) || start.length < 12) return undefined;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength), isShort = start[6] === 1;
  const textStart = isShort ? 10 : 12,
    textBytes = isShort ? view.getUint16(8, true) : view.getUint32(8, true);
  const byteOffset = textStart + textBytes;
  if (byteOffset > start.length) return undefined;
  const text = new TextDecoder().decode(start.subarray(textStart, byteOffset));
  const descr = /'descr':\s*'([^']+)'/.exec(text)?.[1],
    order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  if (descr === undefined || order === undefined || shape === undefined) return undefined;
  const sizes = shape.split(",").map((size) => size.trim()).filter((size) => size !== "").map(Number);
  return { descr, isFortranOrder: order === "True", shape: sizes, byteOffset };
}
