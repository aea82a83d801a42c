import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { recognizeContent } from "../../files/file_content.ts";
import { openSafetensors } from "../../files/safetensors.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

const CASES: [string, string][] = [
  ["version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n", "git lfs pull"],
  ["<!DOCTYPE html>\n<html><body>404</body></html>", "it is a web page"],
  ["\n <html lang='en'><body>sign in, please</body></html>", "it is a web page"],
  ["PK\x03\x04\0\0\x08\x08\0\0\0\0archive/data.pkl", "safe_serialization=True"],
  ["\x80\x02\x8a\x0alc\xfcFc_io", "safe_serialization=True"],
  ["GGUF\x03\0\0\0\x10\0\0\0", "it is a GGUF file"],
  ["\x1f\x8b\x08\0\0\0\0\0\0\0", "gunzip"],
  ["\xff\xfe{\0}\0\n\0\r\0", "UTF-16"],
];

/** A Git LFS pointer was "a header of 2336927755350992400 bytes". */
Deno.test("openSafetensors() says what lies in the place of the weights", () =>
  withTempDir(async (folder) => {
    for (const [text, message] of CASES) {
      assertStringIncludes(recognizeContent(bytesOf(text))!, message);
      const path = `${folder}/model.safetensors`;
      await Deno.writeFile(path, bytesOf(text));
      await assertRejects(() => openSafetensors(path), UsageError, message);
    }
  }));

Deno.test("recognizeContent() has nothing to say about what it may be", () => {
  for (const text of ["", "{}", "\x10\0\0\0\0\0\0\0{}", "version 2", "<3 whales"]) {
    assertEquals(recognizeContent(bytesOf(text)), undefined, text);
  }
});
