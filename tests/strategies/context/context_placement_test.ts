import { assertEquals, assertThrows } from "@std/assert";
import { checkContext, contextPositions, ringSteps } from "../../../strategies/mod.ts";

Deno.test("contextPositions() gives rank r chunk r and chunk 2 cp - 1 - r", () => {
  assertEquals(contextPositions(12, 3, 0), [0, 1, 10, 11]);
  assertEquals(contextPositions(12, 3, 1), [2, 3, 8, 9]);
  assertEquals(contextPositions(12, 3, 2), [4, 5, 6, 7]);
  assertEquals(contextPositions(5, 1, 0), [0, 1, 2, 3, 4]);
});

Deno.test("contextPositions() gives every token to one rank, in ascending order", () => {
  for (let cp = 1; cp <= 8; cp++) {
    const tokens = 6 * cp,
      ofRanks = Array.from({ length: cp }, (_, rank) => contextPositions(tokens, cp, rank));
    assertEquals(ofRanks.flat().toSorted((a, b) => a - b), Array.from({ length: tokens }, (_, t) => t));
    for (const own of ofRanks) assertEquals(own, own.toSorted((a, b) => a - b));
  }
});

Deno.test("sequences that 2 cp does not divide are refused by name", () => {
  const text =
    "Cannot split sequences of 10 tokens over the cp axis as their length must be a multiple of 2 x cp: " +
    "cp is 2";
  assertThrows(() => contextPositions(10, 2, 0), RangeError, text);
  assertThrows(() => ringSteps(10, 2, 0), RangeError, text);
  assertThrows(() => checkContext(10, 2), RangeError, text);
  checkContext(7, 1);
});

/** Pairs of query and key that a rank computes, as text; those above the diagonal of step 0 are left out. */
function pairsOf(tokens: number, cp: number, rank: number): string[] {
  const own = contextPositions(tokens, cp, rank);
  return ringSteps(tokens, cp, rank).flatMap(({ owner, queries, keys, causal }) => {
    const theirs = contextPositions(tokens, cp, owner), pairs: string[] = [];
    for (let i = queries.start; i < queries.start + queries.count; i++) {
      for (let j = keys.start; j < keys.start + keys.count; j++) {
        if (!causal || j <= i) pairs.push(`${own[i]} ${theirs[j]}`);
      }
    }
    return pairs;
  });
}

Deno.test("ringSteps() compute each pair of a query and an earlier key once, and no other", () => {
  for (let cp = 2; cp <= 6; cp++) {
    const tokens = 4 * cp;
    const got = Array.from({ length: cp }, (_, rank) => pairsOf(tokens, cp, rank)).flat();
    const want = Array.from(
      { length: tokens },
      (_, q) => Array.from({ length: q + 1 }, (_, k) => `${q} ${k}`),
    );
    assertEquals(got.toSorted(), want.flat().toSorted());
  }
});

Deno.test("ringSteps() are as much work on every rank, in every step: two chunk pairs", () => {
  for (let cp = 1; cp <= 8; cp++) {
    const tokens = 2 * cp * 3;
    for (let rank = 0; rank < cp; rank++) {
      const [first, ...others] = ringSteps(tokens, cp, rank);
      assertEquals([first.owner, first.causal, first.queries.count, first.keys.count], [rank, true, 6, 6]);
      for (const { causal, queries, keys } of others) {
        assertEquals([causal, queries.count * keys.count], [false, 2 * 9]);
      }
      assertEquals(new Set([first, ...others].map(({ owner }) => owner)).size, cp);
      assertEquals(pairsOf(tokens, cp, rank).length, pairsOf(tokens, cp, 0).length);
    }
  }
});
