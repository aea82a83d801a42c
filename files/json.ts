/**
 * JSON as others write it: with a byte order mark, or with a key twice.
 *
 * @module
 */
import { readText } from "./file_content.ts";
import { UsageError } from "./usage_error.ts";

/**
 * Reads and parses a JSON file; a byte order mark in front is left out.
 *
 * @throws {UsageError} If it cannot be read, or is no JSON.
 */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`Cannot read ${path}: it is not JSON`);
  }
}

/**
 * The first key that an object of a JSON text has twice, with the keys of the objects around it in front; undefined if
 * there is none. `JSON.parse` keeps the last of them without a word.
 *
 * @param text Valid JSON: only then is a string with a colon behind it a key, and every bracket outside of strings one.
 */
export function findRepeatedKey(text: string): string[] | undefined {
  /** The objects and arrays that are open; arrays have no keys. */
  const open: { readonly keys: Set<string>; current: string | undefined }[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{" || char === "[") open.push({ keys: new Set(), current: undefined });
    else if (char === "}" || char === "]") open.pop();
    else if (char === '"') {
      const end = endOfString(text, i), string = text.slice(i, end);
      i = end - 1;
      if (!isColonNext(text, end)) continue;
      const object = open.at(-1)!, key = JSON.parse(string) as string;
      object.current = key;
      if (object.keys.has(key)) return open.map(({ current }) => current).filter((k) => k !== undefined);
      object.keys.add(key);
    }
  }
  return undefined;
}

/** The place behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function isColonNext(text: string, start: number): boolean {
  let i = start;
  while (i < text.length && " \t\r\n".includes(text[i])) i++;
  return text[i] === ":";
}
