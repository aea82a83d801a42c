import { assert, assertEquals } from "@std/assert";
import {
  bpeFiles,
  byteCharacters,
  byteFiles,
  END_OF_TEXT,
  hubTokenizer,
  learnMerges,
  WordCounts,
} from "../../tokenizers/mod.ts";
import { streamed } from "./support/streamed.ts";

function countsOf(text: string): Map<string, number> {
  const words = new WordCounts();
  words.add(text);
  return words.counts;
}

const name = ([left, right]: readonly [number, number]) => `${left} ${right}`;

Deno.test("learnMerges() merges the most frequent pair, of equals the one with the smaller ids", () => {
  // "ab" is there 5 times, "bc" 3, "cd" 3.
  const merges = learnMerges(new Map([["abcd", 3], ["ab", 2]]), 3);
  assertEquals(merges.map(name), ["97 98", "99 100", "256 257"]);
  assertEquals(learnMerges(new Map([["ab", 1], ["cd", 1]]), 5), []);
  assertEquals(learnMerges(new Map([["aaaa", 2]]), 2).map(name), ["97 97", "256 256"]);
});

/** The same by counting all pairs again for every merge. */
function learnSlowly(counts: ReadonlyMap<string, number>, numMerges: number): string[] {
  let words = [...counts].map(([word, count]) => ({ ids: [...new TextEncoder().encode(word)], count }));
  const merges: string[] = [];
  while (merges.length < numMerges) {
    const pairs = new Map<string, number>();
    for (const { ids, count } of words) {
      for (let i = 0; i + 1 < ids.length; i++) {
        const key = `${ids[i]} ${ids[i + 1]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + count);
      }
    }
    const order = (a: string, b: string) => {
      const [x, y] = [a, b].map((key) => key.split(" ").map(Number));
      return x[0] - y[0] || x[1] - y[1];
    };
    const best = [...pairs].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1] || order(a[0], b[0]))
      .at(0);
    if (best === undefined) break;
    const [left, right] = best[0].split(" ").map(Number), made = 256 + merges.length;
    merges.push(best[0]);
    words = words.map(({ ids, count }) => {
      const merged: number[] = [];
      for (let i = 0; i < ids.length; i++) {
        if (ids[i] === left && ids[i + 1] === right) merged.push((i++, made));
        else merged.push(ids[i]);
      }
      return { ids: merged, count };
    });
  }
  return merges;
}

Deno.test("learnMerges() learns what counting everything again learns", async () => {
  const text = await Deno.readTextFile(new URL("../../README.md", import.meta.url)), counts = countsOf(text);
  assertEquals(learnMerges(counts, 150).map(name), learnSlowly(counts, 150));
});

Deno.test("a vocabulary that was learned reads every text, and gives it back", async () => {
  const text = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const tokenizer = await hubTokenizer(bpeFiles(learnMerges(countsOf(text), 300)), "t");
  assertEquals([tokenizer.vocab, tokenizer.idOf(END_OF_TEXT)], [557, 556]);
  for (const sample of [text.slice(0, 4000), "a\u{1f40b} \u4f60\u597d\n\n\t x  ", "\u0000\u007f\u00ad"]) {
    const ids = tokenizer.encode(sample);
    assertEquals(tokenizer.decode(ids), sample);
    assertEquals(streamed(tokenizer, ids), sample);
  }
  assert(tokenizer.encode(text).length < text.length / 2);
  assertEquals(tokenizer.encode(`a${END_OF_TEXT}b`)[1], 556);
});

Deno.test("the files of bytes have the ids of bytes for programs that do not know them", async () => {
  const files = byteFiles(),
    [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((file) => JSON.parse(files[file]));
  const read = await hubTokenizer({ tokenizer, config }, "t"), text = "a\u{1f40b} \n\u00e9\u0000";
  assertEquals(read.encode(text), [...new TextEncoder().encode(text)]);
  assertEquals(new Set(byteCharacters()).size, 256);
});
