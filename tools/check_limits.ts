/**
 * Checks that files and functions stay small; `tools/limits.json` holds the exceptions, each with its reason.
 *
 * Run by `deno task check:limits`. Relies on the layout of `deno fmt`: a function ends at the first line
 * with its own indentation that starts with `}`.
 *
 * @module
 */
import { type Finding, readTree, report, type SourceFile, stripSource } from "./source.ts";

/** An allowed exception. */
export interface Exception {
  readonly lines: number;
  readonly reason: string;
}

/** Exceptions: files by path, functions by `path#name`. */
export interface Exceptions {
  readonly files: Readonly<Record<string, Exception>>;
  readonly functions: Readonly<Record<string, Exception>>;
}

const LIBRARY = { file: 300, fn: 50 };
const TESTS = { file: 400, fn: 80 };

/** A function found in a source text. */
export interface FunctionExtent {
  readonly name: string;
  readonly line: number;
  readonly numLines: number;
}

const CONTROL = /^(?:\} )?(?:if|for|while|switch|catch|else|do|try|finally|with|return)\b/;
const HEADER =
  /^(?:export )?(?:default )?(?:(?:async|static|override|abstract|private|protected|public|get|set) )*(?:function\*? ?|\*)?([#\w$]*)(?:<.*)?\(/;
const ARROW = /(?:(?:const|let|static|readonly) )?([#\w$]+)(?:: [^=]*)? = .*=> \{$|=> \{$/;

/** Functions, methods and arrow functions with a body of several lines. */
export function findFunctions(text: string): FunctionExtent[] {
  const lines = stripSource(text).split("\n").map((line) => line.trimEnd());
  const found: FunctionExtent[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (!lines[i].endsWith("{")) continue;
    const start = startOfHeader(lines, i);
    const name = functionName(lines[start].trim(), lines[i].trim());
    if (name === undefined) continue;
    const indent = indentOf(lines[i]);
    let end = i + 1;
    while (end < lines.length && !(indentOf(lines[end]) === indent && lines[end].trim().startsWith("}"))) {
      end++;
    }
    found.push({ name, line: start + 1, numLines: end - start + 1 });
  }
  return found;
}

function startOfHeader(lines: readonly string[], index: number): number {
  if (!/^\s*[)>}]/.test(lines[index])) return index;
  const indent = indentOf(lines[index]);
  let start = index - 1;
  while (start > 0 && (lines[start] === "" || indentOf(lines[start]) > indent)) start--;
  return start;
}

function functionName(first: string, last: string): string | undefined {
  if (last.endsWith("=> {")) return ARROW.exec(first)?.[1] ?? HEADER.exec(first)?.[1] ?? "(arrow)";
  if (CONTROL.test(first) || /\b(?:class|interface|enum|type) /.test(first)) return undefined;
  return HEADER.exec(first)?.[1];
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** Files and functions over their limit. */
export function checkLimits(files: readonly SourceFile[], exceptions: Exceptions): Finding[] {
  const findings: Finding[] = [];
  const why = "what does not fit on a few screens is not read before it is changed";
  for (const { path, text } of files) {
    const limit = /^(?:tests|bench)\//.test(path) ? TESTS : LIBRARY;
    const numLines = text.trimEnd().split("\n").length;
    if (numLines > (exceptions.files[path]?.lines ?? limit.file)) {
      const what = `has ${numLines} lines, allowed are ${exceptions.files[path]?.lines ?? limit.file}`;
      findings.push({ file: path, line: limit.file, what, why, todo: "split it by concept" });
    }
    for (const { name, line, numLines } of findFunctions(text)) {
      const allowed = exceptions.functions[`${path}#${name}`]?.lines ?? limit.fn;
      if (numLines <= allowed) continue;
      const what = `function ${name} has ${numLines} lines, allowed are ${allowed}`;
      findings.push({
        file: path,
        line,
        what,
        why,
        todo: "split it, or state a reason in tools/limits.json",
      });
    }
  }
  return [...findings, ...checkExceptions(files, exceptions)];
}

function checkExceptions(files: readonly SourceFile[], exceptions: Exceptions): Finding[] {
  const paths = new Set(files.map((file) => file.path));
  const all = [...Object.entries(exceptions.files), ...Object.entries(exceptions.functions)];
  const at = { file: "tools/limits.json", line: 1 };
  return all.flatMap(([key, { reason }]) => {
    const why = "an exception is a debt with a name";
    if (!paths.has(key.split("#")[0])) {
      return [{ ...at, what: `${key} does not exist`, why, todo: "remove it" }];
    }
    if (!reason) return [{ ...at, what: `${key} has no reason`, why, todo: "say why it is longer" }];
    return [];
  });
}

if (import.meta.main) {
  const files = readTree(Deno.cwd(), [".ts"]).filter((file) => !/_wasm\.ts$|generated/.test(file.path));
  const exceptions = JSON.parse(Deno.readTextFileSync("tools/limits.json")) as Exceptions;
  Deno.exit(report("check:limits", files.length, checkLimits(files, exceptions)));
}
