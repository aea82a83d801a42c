import { fileProblem, UsageError } from "./usage_error.ts";

/** Bytes that are enough to tell what a file is. */
const START_BYTES = 256;

/**
 * What a file is, if its first bytes are those of something that people have in the place of another file.
 *
 * @returns What it is and what to do, as the end of an error message; undefined if there is nothing to say.
 */
export function recognizeContent(start: Uint8Array): string | undefined {
  const text = String.fromCharCode(...start.subarray(0, START_BYTES));
  if (text.startsWith("version https://git-lfs")) {
    return "it is a Git LFS pointer, not the file itself; fetch the file with git lfs pull";
  }
  if (/^\s*<(?:!doctype|html|\?xml|head)\b/i.test(text)) {
    return "it is a web page, not the file itself; download the file again, from its raw address";
  }
  // A zip archive, or a pickle of protocol 2 and above.
  if (["PK\x03\x04", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"].some((mark) => text.startsWith(mark))) {
    return "it is a PyTorch file; convert it with transformers: save_pretrained(DIR, safe_serialization=True)";
  }
  if (text.startsWith("GGUF")) {
    return "it is a GGUF file; give its path, NAME.gguf, in place of a folder";
  }
  if (text.startsWith("\x1f\x8b")) return "it is compressed by gzip; unpack it with gunzip";
  if (/^(?:\xff\xfe|\xfe\xff)/.test(text)) return "it is UTF-16 text; save it as UTF-8";
  return undefined;
}

/**
 * Reads a text, without the byte order mark that some editors put in front.
 *
 * @throws {UsageError} If it cannot be read, or is something else in its place.
 */
export async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${fileProblem(error)}`);
  }
  const other = recognizeContent(bytes);
  if (other !== undefined) throw new UsageError(`Cannot read ${path}: ${other}`);
  // The decoder takes the mark away.
  return new TextDecoder().decode(bytes);
}
