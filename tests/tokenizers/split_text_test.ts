import { assert, assertEquals } from "@std/assert";
import { BYTES, encodeText, gpt2Tokenizer, idType, splitText } from "../../tokenizers/mod.ts";

const TEXT = `First line.\nSecond one\n\n  indented\nit's 42\t\n\nEnd, of it\n`.repeat(40);

Deno.test("splitText() cuts behind a line's end between words only, wherever the parts of the text end", () => {
  for (const size of [1, 7, 100, 1e9]) {
    for (const partLength of [1, 13, 1000]) {
      const parts = TEXT.match(new RegExp(`[^]{1,${partLength}}`, "g"))!;
      const pieces = [...splitText(parts, true, size)];
      assertEquals(pieces.join(""), TEXT);
      assert(pieces.slice(0, -1).every((piece) => /[^\s]\n$/.test(piece)), `${size}`);
    }
  }
  assert([...splitText([TEXT], true, 10)].length > 50);
  assertEquals([...splitText([TEXT], false, 10)], [TEXT]);
});

Deno.test("the ids of pieces are those of the whole text", async () => {
  const gpt2 = await gpt2Tokenizer();
  assertEquals([...splitText([TEXT], true, 20)].flatMap((piece) => gpt2.encode(piece)), gpt2.encode(TEXT));
  assertEquals([...encodeText(gpt2, [TEXT.slice(0, 100), TEXT.slice(100)])], gpt2.encode(TEXT));
  assertEquals([idType(BYTES), idType({ vocab: 65536 }), idType({ vocab: 65537 })], [
    "uint16",
    "uint16",
    "uint32",
  ]);
});
