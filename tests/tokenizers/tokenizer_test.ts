import { assertEquals } from "@std/assert";
import { BYTES, StreamDecoder } from "../../tokenizers/mod.ts";
import { streamed } from "./support/streamed.ts";

Deno.test("bytes are UTF-8, and decode one by one as all at once", () => {
  for (
    const text of [
      "a\u{1f40b}b",
      "",
      "\ufffd\ufffd",
      "\ufeffa\ufeff",
      "\u00e9\u00e8 \n\t\u4f60\u597d",
      "x".repeat(50),
    ]
  ) {
    const ids = BYTES.encode(text);
    assertEquals(BYTES.decode(ids), text);
    assertEquals(streamed(BYTES, ids), text);
  }
});

Deno.test("StreamDecoder gives a character when it is complete, and the rest at the end", () => {
  const decoder = new StreamDecoder(BYTES);
  assertEquals(BYTES.encode("a\u{1f40b}").map((id) => decoder.next(id)), ["a", "", "", "", "\u{1f40b}"]);
  assertEquals([decoder.next(0xf0), decoder.end()], ["", "\ufffd"]);
  const broken = [0xff, 65, 0xe4, 0xbd, 66, 300, 67];
  assertEquals(streamed(BYTES, broken), BYTES.decode(broken));
});
