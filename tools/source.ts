/** Where something in the repository is wrong, why that matters, and what to do about it. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly what: string;
  readonly why: string;
  readonly todo: string;
}

/** One file of the repository; `path` has forward slashes and starts at the root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

const SKIPPED = new Set([".git", "node_modules", "out", "dist", "golden", "vendor"]);

/** All files below `root` with one of the endings, sorted by path. */
export function readTree(root: string, endings: readonly string[], folder = ""): SourceFile[] {
  const files: SourceFile[] = [];
  for (const entry of Deno.readDirSync(`${root}/${folder}`)) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory && !SKIPPED.has(entry.name)) files.push(...readTree(root, endings, path));
    if (entry.isFile && endings.some((ending) => entry.name.endsWith(ending))) {
      files.push({ path, text: Deno.readTextFileSync(`${root}/${path}`) });
    }
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Prints the findings; the exit code says whether there were any. */
export function report(check: string, numFiles: number, findings: readonly Finding[]): number {
  for (const { file, line, what, why, todo } of findings) {
    console.error(`${file}:${line}: ${what}\n    why: ${why}\n    do:  ${todo}`);
  }
  console.log(`${check}: ${numFiles} files, ${findings.length} findings`);
  return findings.length === 0 ? 0 : 1;
}

/** Line number (from 1) of an index in a text. */
export function lineOf(text: string, index: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < index; i = text.indexOf("\n", i + 1)) line++;
  return line;
}

/**
 * The source with comments and the insides of strings, templates and regular expressions blanked; every
 * character keeps its place. Code in `${}` stays.
 */
export function stripSource(text: string): string {
  const out = text.split("");
  const templates: number[] = []; // brace depth at which each open `${` returns to its template
  let depth = 0, i = 0;
  const blank = (from: number, to: number) => {
    for (let k = from; k < to; k++) if (out[k] !== "\n") out[k] = " ";
  };
  const skipTemplate = (from: number) => {
    let end = from;
    while (end < text.length && text[end] !== "`" && !text.startsWith("${", end)) {
      end += text[end] === "\\" ? 2 : 1;
    }
    blank(from, end);
    if (text[end] !== "$") return end + 1;
    templates.push(depth++);
    return end + 2;
  };
  while (i < text.length) {
    const char = text[i];
    if (char === "/" && (text[i + 1] === "/" || text[i + 1] === "*")) {
      const end = endOfComment(text, i);
      blank(i, end);
      i = end;
    } else if (char === '"' || char === "'" || (char === "/" && startsRegExp(text, i))) {
      const end = endOfLiteral(text, i);
      blank(i + 1, end - 1);
      i = end;
    } else if (char === "`") {
      i = skipTemplate(i + 1);
    } else {
      if (char === "{") depth++;
      if (char === "}") depth--;
      i++;
      if (char === "}" && templates.at(-1) === depth) {
        templates.pop();
        i = skipTemplate(i);
      }
    }
  }
  return out.join("");
}

function endOfComment(text: string, start: number): number {
  const isLine = text[start + 1] === "/";
  const end = text.indexOf(isLine ? "\n" : "*/", start + 2);
  if (end < 0) return text.length;
  return isLine ? end : end + 2;
}

function endOfLiteral(text: string, start: number): number {
  const quote = text[start];
  let isInClass = false;
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "\n") return i;
    else if (quote === "/" && text[i] === "[") isInClass = true;
    else if (quote === "/" && text[i] === "]") isInClass = false;
    else if (text[i] === quote && !isInClass) return i + 1;
  }
  return text.length;
}

function startsRegExp(text: string, index: number): boolean {
  const before = text.slice(Math.max(0, index - 40), index).trimEnd();
  return before === "" || /[(,=:[!&|?{};<>+*%~^-]$/.test(before) ||
    /\b(return|typeof|case|of|in)$/.test(before);
}
