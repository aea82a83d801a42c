/**
 * Checks the written side: docstrings on exports, plain ASCII, links that resolve, a test for every file.
 *
 * Run by `deno task check:docs`; `tools/limits.json` names the files without a test, each with its reason.
 *
 * @module
 */
import { type Finding, lineOf, readTree, report, type SourceFile } from "./source.ts";
import { LAYERS } from "./check_layers.ts";

const EXPORT =
  /^export (?:default |declare |abstract |async )*(?:function\*?|class|const|let|interface|type|enum) ?([\w$]+)/;

/** Exported symbols without a docstring. */
export function checkDocstrings(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    if (/^(?:tests|bench|examples)\//.test(path)) continue;
    const lines = text.split("\n");
    let previous = "";
    lines.forEach((line, index) => {
      const name = EXPORT.exec(line)?.[1];
      if (name === undefined) return;
      const isOverload = name === previous;
      previous = name;
      if (isOverload || hasDocstring(lines, index)) return;
      const why = "the docstring is the contract; deno doc and editors show it";
      findings.push({
        file: path,
        line: index + 1,
        what: `${name} has no docstring`,
        why,
        todo: "add /** ... */",
      });
    });
  }
  return findings;
}

function hasDocstring(lines: readonly string[], index: number): boolean {
  let above = index - 1;
  while (above >= 0 && /^\s*(?:\/\/|@)/.test(lines[above])) above--;
  return above >= 0 && lines[above].trimEnd().endsWith("*/");
}

/** Characters outside ASCII. */
export function checkAscii(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    for (const match of text.matchAll(/[^\t\n\x20-\x7e]+/g)) {
      const code = match[0].codePointAt(0)!.toString(16).padStart(4, "0");
      findings.push({
        file: path,
        line: lineOf(text, match.index),
        what: `holds the character U+${code}`,
        why: "plain ASCII can be typed, searched and diffed everywhere",
        todo: "write it in ASCII, or as an escape in a string",
      });
    }
  }
  return findings;
}

/** Relative links in Markdown whose target does not exist. */
export function checkLinks(files: readonly SourceFile[], exists: (path: string) => boolean): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    const prose = text.replace(/```[^]*?```|`[^`\n]*`/g, (code) => code.replace(/[^\n]/g, " "));
    for (const match of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = match[1].split("#")[0];
      if (target === "" || /^[a-z]+:/.test(target)) continue;
      const resolved = new URL(target, `file:///${path}`).pathname.slice(1);
      if (exists(resolved)) continue;
      const why = "a reader who follows it is lost";
      const what = `links to ${target}, which does not exist`;
      findings.push({
        file: path,
        line: lineOf(text, match.index),
        what,
        why,
        todo: "mend or remove the link",
      });
    }
  }
  return findings;
}

/** An export that is a value: what a test can call. */
const VALUE =
  /^export (?:default |declare |abstract |async )*(?:function\*?|class|const|let|enum) ?([\w$]+)?/;

/**
 * Files of a layer that no test knows: none has its name in its place, imports it, or imports a value of it through a
 * `mod.ts` and uses it. Files of types only need none.
 */
export function checkTests(
  files: readonly SourceFile[],
  untested: Readonly<Record<string, string>>,
): Finding[] {
  const tests = files.filter(({ path }) => path.startsWith("tests/"));
  const places = new Set(tests.map(({ path }) => path));
  const used = new Set(tests.flatMap(({ text }) => usedImports(text)));
  const imports = tests.map(({ text }) => text).join("\n");
  return files.filter(({ path, text }) => {
    const layer = path.split("/")[0], mirror = mirrorOf(path);
    if (!(layer in LAYERS) || path.endsWith("/mod.ts") || untested[path]) return false;
    const values = text.split("\n").map((line) => VALUE.exec(line)).filter((match) => match !== null);
    if (values.length === 0 && EXPORT.test(text.match(/^export .*$/m)?.[0] ?? "")) return false;
    const isKnown = places.has(mirror) || imports.includes(`/${path}"`);
    return !isKnown && !values.some(([, name]) => used.has(name));
  }).map(({ path }) => {
    const why = "what is not tested is not known to work";
    const todo = `write ${mirrorOf(path)}, or state a reason in tools/limits.json under "untested"`;
    return { file: path, line: 1, what: "has no test", why, todo };
  });
}

function mirrorOf(path: string): string {
  return `tests/${path.replace(/\.ts$/, "_test.ts")}`;
}

/** Names that a file imports through a `mod.ts` and mentions again. */
function usedImports(text: string): string[] {
  const matches = [...text.matchAll(/^import \{([^}]*)\} from "[./]*(?:[\w/]+\/)?mod\.ts";$/gm)];
  const names = matches.flatMap(([, list]) => list.split(",").map((name) => name.trim()));
  return names.filter((name) => /^[\w$]+$/.test(name) && text.split(name).length > 2);
}

if (import.meta.main) {
  const root = Deno.cwd();
  const sources = readTree(root, [".ts"]);
  const texts = readTree(root, [".md"]);
  const { untested } = JSON.parse(Deno.readTextFileSync("tools/limits.json"));
  const exists = (path: string) => {
    try {
      return Deno.statSync(`${root}/${path}`) !== undefined;
    } catch {
      return false;
    }
  };
  const findings = [
    ...checkDocstrings(sources),
    ...checkAscii([...sources, ...texts]),
    ...checkLinks(texts, exists),
    ...checkTests(sources, untested),
  ];
  Deno.exit(report("check:docs", sources.length + texts.length, findings));
}
