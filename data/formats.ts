/**
 * Tells formats that are no text and no tokens by how their files begin: trained on as bytes they would give a loss,
 * and a model of nothing.
 *
 * @module
 */

const AS_TEXT = "write its text column to a .txt file, or its token ids to a .bin file (uint16)";
const UNPACKED = "unpack it first";

/** How files begin, what they are, and what to do. */
const FOREIGN: readonly (readonly [start: string, what: string, todo: string])[] = [
  ["PK\x03\x04", "a zip archive (as .npz and PyTorch's .pt are)", "unpack it, or save its tokens as .npy"],
  ["\x28\xb5\x2f\xfd", "packed by zstd", UNPACKED],
  ["\xfd7zXZ\x00", "packed by xz", UNPACKED],
  ["BZh", "packed by bzip2", UNPACKED],
  ["7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACKED],
  ["\x1f\x8b\x08", "packed by gzip once more", UNPACKED],
  ["PAR1", "a Parquet file", AS_TEXT],
  ["ARROW1", "an Arrow file", AS_TEXT],
  ["FEA1", "a Feather file", AS_TEXT],
  ["\xff\xff\xff\xff", "an Arrow stream", AS_TEXT],
  ["\x89HDF\r\n", "an HDF5 file", AS_TEXT],
  ["SQLite format 3\x00", "an SQLite database", AS_TEXT],
  ["%PDF-", "a PDF", "extract its text, as with pdftotext"],
  ["\x80\x02", "a pickle", "save its tokens as .npy"],
  ["\x80\x03", "a pickle", "save its tokens as .npy"],
  ["\x80\x04", "a pickle", "save its tokens as .npy"],
  ["\x80\x05", "a pickle", "save its tokens as .npy"],
  ["GGUF", "a GGUF model", "give a text or token file; a model is given to --init"],
  ["MMIDIDX\x00\x00", "the index of a Megatron dataset", "write its token ids to a .bin file (uint16)"],
  ["version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch the file with git lfs pull"],
  ["\xff\xfe\x00\x00", "UTF-32 text", "save it as UTF-8"],
  ["\x00\x00\xfe\xff", "UTF-32 text", "save it as UTF-8"],
];

/**
 * What a file is that is neither text nor tokens, and what to do, as the end of a message; undefined if it may be
 * either.
 */
export function foreignFormat(name: string, start: Uint8Array): string | undefined {
  const text = String.fromCharCode(...start.subarray(0, 64));
  // The first two tokens of a .bin may be any four bytes, but hardly the four of a format.
  const least = /\.bin$/i.test(name) ? 4 : 1;
  const known = FOREIGN.find(([begin]) => begin.length >= least && text.startsWith(begin));
  if (known !== undefined) return `it is ${known[1]}; ${known[2]}`;
  if (/^\s*<(?:!doctype html|html)\b/i.test(text) && !/\.x?html?$/i.test(name)) {
    return "it is a web page, perhaps in place of the file; download it again, or name it .html to learn its markup";
  }
  if (/^.{8}\{"/s.test(text) && start[7] === 0 && start[6] === 0) {
    return "it is a safetensors file; give a text or token file, and the folder of a model to --init";
  }
  if (/\.(?:jsonl|ndjson|json)$/i.test(name)) {
    return "it is JSON, whose keys and braces would be learned; write its text to a .txt file, as with jq -r .text";
  }
  return undefined;
}
