import { assert, assertEquals, assertThrows } from "@std/assert";
import { countWindows, evaluationStarts, permute, sampleStart } from "../../data/order.ts";

const BATCH = 3, BASE = { seed: 1337, context: 8, numTokens: 8 * 11 + 1 } as const;

function startsOf(step: number, order: "sequential" | "shuffle", seed = 1337): number[] {
  return Array.from({ length: BATCH }, (_, i) => sampleStart(step * BATCH + i, { ...BASE, order, seed }));
}

Deno.test("countWindows() counts windows whose targets are there too", () => {
  assertEquals([0, 1, 8, 9, 16, 17].map((n) => countWindows(n, 8)), [0, 0, 0, 1, 1, 2]);
});

Deno.test("sampleStart() in sequential order goes through the file and wraps", () => {
  assertEquals(startsOf(0, "sequential"), [0, 8, 16]);
  assertEquals(startsOf(1, "sequential"), [24, 32, 40]);
  assertEquals(startsOf(3, "sequential"), [72, 80, 0]);
  const oneTokenLess = { ...BASE, order: "sequential", numTokens: BASE.numTokens - 1 } as const;
  assertEquals(sampleStart(10, oneTokenLess), 0);
});

Deno.test("sampleStart() in shuffled order repeats no sample within an epoch", () => {
  const starts = Array.from({ length: 11 }, (_, step) => startsOf(step, "shuffle")).flat();
  const windows = Array.from({ length: 11 }, (_, i) => i * 8);
  for (let epoch = 0; epoch < 3; epoch++) {
    const seen = starts.slice(epoch * 11, epoch * 11 + 11);
    assertEquals([...seen].sort((a, b) => a - b), windows);
  }
  assert(starts.slice(0, 11).join() !== starts.slice(11, 22).join(), "epochs must differ");
  assert(startsOf(0, "shuffle", 1).join() !== startsOf(0, "shuffle", 2).join(), "seeds must differ");
  assertEquals(startsOf(2, "shuffle"), startsOf(2, "shuffle"));
});

Deno.test("sampleStart() refuses a corpus without a window", () => {
  assertThrows(
    () => sampleStart(0, { ...BASE, order: "shuffle", numTokens: 8 }),
    RangeError,
    "fits into 8 tokens",
  );
});

Deno.test("permute() is a permutation for any size", () => {
  for (const size of [1, 2, 3, 4, 5, 16, 17, 64, 65, 1000, 4099]) {
    const seen = new Set(Array.from({ length: size }, (_, i) => permute(i, size, 42, 3)));
    assertEquals(seen.size, size);
    assert([...seen].every((x) => x >= 0 && x < size));
  }
});

Deno.test("permute() moves places far and evenly", () => {
  const size = 10007;
  let distance = 0, numFixed = 0;
  const firstHalf = Array(10).fill(0);
  for (let i = 0; i < size; i++) {
    const place = permute(i, size, 5, 0);
    distance += Math.abs(place - i) / size;
    if (place === i) numFixed++;
    if (i < size / 2) firstHalf[Math.floor(place / size * 10)]++;
  }
  // A random permutation moves by 1/3 on average (deviation 0.24 / sqrt(n)), and fixes about one place.
  assert(Math.abs(distance / size - 1 / 3) < 5 * 0.24 / Math.sqrt(size), `mean distance ${distance / size}`);
  assert(numFixed <= 8, `${numFixed} places stay`);
  // Each tenth gets about half of its places from the first half (deviation 16).
  for (const count of firstHalf) assert(Math.abs(count - size / 20) < 5 * 16, `tenth with ${count}`);
});

Deno.test("evaluationStarts() spreads windows over the range", () => {
  assertEquals(evaluationStarts({ start: 100, end: 133 }, 8), [100, 108, 116, 124]);
  assertEquals(evaluationStarts({ start: 100, end: 133 }, 8, 2), [100, 116]);
  assertEquals(evaluationStarts({ start: 5, end: 13 }, 8), []);
});

/** nanoGPT's OpenWebText has 9 billion tokens; a permutation must be one for more windows than an int32 counts. */
Deno.test("permute() stays inside, and two places never meet, for more than 2^32 windows", () => {
  for (const size of [2 ** 31 + 7, 2 ** 32, 2 ** 32 + 1, 3 * 2 ** 33 + 5]) {
    const places = Array.from({ length: 2000 }, (_, i) => i < 1000 ? i : size - 2000 + i);
    const images = places.map((place) => permute(place, size, 1337, 3));
    assert(images.every((image) => Number.isSafeInteger(image) && image >= 0 && image < size));
    assertEquals(new Set(images).size, places.length);
    assert(images.some((image) => image > size / 2) && images.some((image) => image < size / 2));
  }
});
