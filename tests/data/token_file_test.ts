import { assertEquals, assertRejects } from "@std/assert";
import { checkBlock, checkIds, checkVocabulary } from "../../data/check_tokens.ts";
import { foreignFormat } from "../../data/formats.ts";
import { openBytes } from "../../data/raw_bytes.ts";
import { visitSpread, WHOLE_BYTES } from "../../data/spread_blocks.ts";
import { isTokenFile, openTokenFile } from "../../data/token_file.ts";
import { openTokens, shareTokens, type Tokens, tokensOfBytes } from "../../data/tokens.ts";
import { UsageError } from "../../files/usage_error.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("openTokenFile() says where tokens lie and keeps nothing of the file", () =>
  withTempDir(async (folder) => {
    const path = `${folder}/t.bin`;
    await Deno.writeFile(path, new Uint8Array([1, 0, 2, 0, 3, 0]));
    const raw = await openBytes(path);
    assertEquals([isTokenFile(raw), raw.memory, raw.size], [true, undefined, 6]);
    const tokens = { kind: "file", path, byteOffset: 0, dtype: "uint16", length: 3 };
    assertEquals(openTokenFile(raw, undefined), { tokens, vocab: 50257 } as ReturnType<typeof openTokenFile>);
    assertEquals(raw.read(4, 100), new Uint8Array([3, 0]), "fewer at the end");
    await assertRejects(() => openBytes(`${folder}/none`), UsageError, "it does not exist");
    await assertRejects(() => openBytes(folder), UsageError, "it is a directory; give a file in it");
  }));

Deno.test("tokensOfBytes() reads bytes at odd places as a file would", () => {
  const bytes = new Uint8Array([9, 1, 2, 3, 4]).subarray(1);
  using reader = openTokens(tokensOfBytes(bytes, "uint16"));
  assertEquals([...reader.read(0, 2)], [0x201, 0x403]);
});

Deno.test("visitSpread() visits all of little, and of much the first, the last and some between", () => {
  const seen = (tokens: Tokens) => {
    let count = 0, first = Infinity, last = 0;
    visitSpread(tokens, (block, start) => {
      count += block.length;
      first = Math.min(first, start);
      last = Math.max(last, start + block.length);
    });
    return [count, first, last];
  };
  assertEquals(seen(shareTokens(new Uint8Array(200_000))), [200_000, 0, 200_000]);
  const large = WHOLE_BYTES + 12_345;
  assertEquals(seen(shareTokens(new Uint8Array(large))), [64 * 65536, 0, large]);
});

Deno.test("checks of tokens pass what is right", () => {
  const tokens = shareTokens(Uint16Array.from({ length: 100 }, (_, i) => i * 7 % 50));
  checkIds("t", tokens);
  checkVocabulary("t", tokens, 50);
  checkBlock({ name: "t", vocab: 50, start: 0 }, Uint16Array.of(49, 0));
  assertEquals(foreignFormat("a.txt", new TextEncoder().encode("Call me Ishmael.")), undefined);
});
