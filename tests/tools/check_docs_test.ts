import { assertEquals } from "@std/assert";
import { checkAscii, checkDocstrings, checkLinks, checkTests } from "../../tools/check_docs.ts";

Deno.test("checkDocstrings() finds exports without a docstring", () => {
  const text = [
    "/** Has one. */",
    "export function a(): void;",
    "export function a(x?: number): void {}",
    "export const b = 1;",
    "/** Has one. */",
    "// deno-lint-ignore no-explicit-any",
    "export abstract class C {}",
    "export interface D {}",
    'export { e } from "./e.ts";',
  ].join("\n");
  assertEquals(checkDocstrings([{ path: "nn/a.ts", text }]).map((f) => f.what), [
    "b has no docstring",
    "D has no docstring",
  ]);
  assertEquals(checkDocstrings([{ path: "tests/a.ts", text }]), []);
});

Deno.test("checkAscii() finds other characters with their line", () => {
  const findings = checkAscii([{ path: "docs/a.md", text: "a\nb \u2013 c\n" }]);
  assertEquals(findings.map((f) => `${f.line} ${f.what}`), ["2 holds the character U+2013"]);
});

Deno.test("checkLinks() finds links to files that do not exist", () => {
  const text = "[a](b.md) [c](../README.md#top) [d](https://e.f/g)\n`[x](y.md)` [gone](gone.md)";
  const exists = (path: string) => ["docs/b.md", "README.md"].includes(path);
  const findings = checkLinks([{ path: "docs/a.md", text }], exists);
  assertEquals(findings.map((f) => `${f.line} ${f.what}`), ["2 links to gone.md, which does not exist"]);
});

Deno.test("checkTests() finds layer files that no test names", () => {
  const file = (path: string, text = "") => ({ path, text });
  const files = [
    file("nn/mod.ts"),
    file("nn/named.ts"),
    file("nn/imported.ts"),
    file("nn/alone.ts"),
    file("nn/excused.ts"),
    file("nn/used.ts", "export function useMe(): void {}"),
    file("nn/mentioned.ts", "export function leaveMe(): void {}"),
    file("nn/imported_only.ts", "export function importMe(): void {}"),
    file("nn/types.ts", "export interface Shape {}"),
    file("nn/inner/named.ts", "export const A = 1;"),
    file("tests/nn/inner/named_test.ts"),
    file("tests/nn/all_test.ts", 'import { importMe, useMe } from "../../nn/mod.ts";\nuseMe(); leaveMe();'),
    file("tests/nn/named_test.ts", 'import { x } from "../../nn/imported.ts";'),
    file("tests/train/other_test.ts", 'import { x } from "../../nn/other.ts";'),
  ];
  assertEquals(checkTests(files, { "nn/excused.ts": "types only" }).map((f) => f.file), [
    "nn/alone.ts",
    "nn/mentioned.ts",
    "nn/imported_only.ts",
  ]);
});
