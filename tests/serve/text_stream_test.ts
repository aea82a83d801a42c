import { assertEquals } from "@std/assert";
import { TextStream } from "../../serve/mod.ts";
import { BYTES } from "../../tokenizers/mod.ts";

function write(text: string, stops: string[]) {
  const stream = new TextStream(BYTES, stops), parts = BYTES.encode(text).map((id) => stream.next(id));
  return { parts, isEnded: stream.isEnded, text: parts.join("") + stream.end() };
}

Deno.test("TextStream ends before a stop, and holds back what may be one", () => {
  assertEquals(write("one, two. three", ["."]).text, "one, two");
  const { parts, text, isEnded } = write("a\n\nUser: b", ["\nUser:", "zz"]);
  assertEquals([text, isEnded], ["a\n", true]);
  assertEquals(parts.slice(0, 3), ["a", "", "\n"]);
  assertEquals(write("a\nUse", ["\nUser:"]), {
    parts: ["a", "", "", "", ""],
    isEnded: false,
    text: "a\nUse",
  });
  assertEquals(write("ab", [""]).text, "ab");
});

Deno.test("TextStream never splits a character", () => {
  assertEquals(write("\u{1f40b}!", []).parts, ["", "", "", "\u{1f40b}", "!"]);
});
