import { assertEquals, assertRejects } from "@std/assert";
import { findRepeatedKey, readJson } from "../../files/json.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** `JSON.parse` takes the last of two entries: the first `wte.weight` of a file was dropped without a word. */
Deno.test("findRepeatedKey() finds a key that an object has twice, and no other string", () => {
  const cases: [string, string[] | undefined][] = [
    ['{"a": 1, "b": 2, "a": 3}', ["a"]],
    ['{"a": 1, "\\u0061": 3}', ["a"]],
    ['{"w": {"dtype": "F32", "shape": [1], "dtype" : "F16"}}', ["w", "dtype"]],
    ['{"x": [{"a": 1}, {"b": {"a": 1, "a": 2}}]}', ["x", "b", "a"]],
    ['{"a": {"a": {"a": "a"}}, "b": "a"}', undefined],
    ['{"a": ["a", "a", {"a": 1}, {"a": 1}]}', undefined],
    ['{"a": "\\"b\\": {", "b": "}", "c\\\\": "\\\\", "c": 1}', undefined],
    ['"a"', undefined],
    ["[]", undefined],
  ];
  for (const [text, expected] of cases) {
    JSON.parse(text);
    assertEquals(findRepeatedKey(text), expected, text);
  }
  const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, "x".repeat(50)]));
  assertEquals(findRepeatedKey(JSON.stringify(many)), undefined);
});

Deno.test("readJson() reads text with a byte order mark, and names what is no JSON", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/config.json`;
    await Deno.writeTextFile(path, '\ufeff{"n_layer": 2}');
    assertEquals(await readJson(path), { n_layer: 2 });
    const cases: [string, string][] = [
      ["{oops", "it is not JSON"],
      ["", "it is not JSON"],
      ["version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"],
      ["<!DOCTYPE html>\n<html>", "it is a web page"],
    ];
    for (const [text, message] of cases) {
      await Deno.writeTextFile(path, text);
      await assertRejects(() => readJson(path), UsageError, message);
    }
    await assertRejects(() => readJson(`${folder}/none`), UsageError, "none: it does not exist");
  }));
