/**
 * The generator against Threefry-2x32 written down once more, with 64-bit integers; that one is checked with the known
 * answers of Random123 (kat_vectors, `threefry2x32 20`).
 */
import { assert, assertEquals } from "@std/assert";
import { RandomStream } from "../../nn/mod.ts";

const MASK = 0xffffffffn;
const ROTATIONS = [13n, 15n, 26n, 6n, 17n, 29n, 16n, 24n];

function threefry([c0, c1]: [bigint, bigint], [k0, k1]: [bigint, bigint]): [bigint, bigint] {
  const keys = [k0, k1, k0 ^ k1 ^ 0x1bd11bdan];
  let x0 = (c0 + k0) & MASK, x1 = (c1 + k1) & MASK;
  for (let round = 0; round < 20; round++) {
    const r = ROTATIONS[round % 8];
    x0 = (x0 + x1) & MASK;
    x1 = ((x1 << r | x1 >> (32n - r)) & MASK) ^ x0;
    if (round % 4 !== 3) continue;
    const s = (round + 1) / 4;
    x0 = (x0 + keys[s % 3]) & MASK;
    x1 = (x1 + keys[(s + 1) % 3] + BigInt(s)) & MASK;
  }
  return [x0, x1];
}

function fnv1a(name: string): bigint {
  return [...name].reduce((hash, c) => ((hash ^ BigInt(c.charCodeAt(0))) * 0x01000193n) & MASK, 0x811c9dc5n);
}

/** 53 bits of a block as a number in [0, 1). */
function toUniform([high, low]: [bigint, bigint]): number {
  return Number((high >> 5n) << 26n | low >> 6n) / 2 ** 53;
}

/** A name whose FNV-1a hash is 0. */
const ZERO_NAME = String.fromCharCode(0xcc, 0x24, 0x31, 0xc4);

Deno.test("the oracle gives the known answers of Threefry-2x32 with 20 rounds", () => {
  assertEquals(threefry([0n, 0n], [0n, 0n]), [0x6b200159n, 0x99ba4efen]);
  assertEquals(threefry([MASK, MASK], [MASK, MASK]), [0x1cb996fcn, 0xbb002be7n]);
  assertEquals(threefry([0x243f6a88n, 0x85a308d3n], [0x13198a2en, 0x03707344n]), [0xc4923a9cn, 0x483df7a0n]);
});

Deno.test("RandomStream uniform() is Threefry-2x32 of (seed, name, index)", () => {
  assertEquals(fnv1a(ZERO_NAME), 0n);
  assertEquals(new RandomStream(0, ZERO_NAME).uniform(0), toUniform([0x6b200159n, 0x99ba4efen]));
  for (const seed of [0, 1, 1337, 0x7fffffff, 0xffffffff]) {
    for (const name of ["", "wte.weight", "h.11.mlp.c_fc.weight"]) {
      const stream = new RandomStream(seed, name), key: [bigint, bigint] = [BigInt(seed), fnv1a(name)];
      for (const index of [0, 1, 2, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7]) {
        const counter: [bigint, bigint] = [BigInt(index) & MASK, BigInt(index) >> 32n];
        assertEquals(stream.uniform(index), toUniform(threefry(counter, key)), `${seed} ${name} ${index}`);
      }
    }
  }
});

Deno.test("RandomStream gives the same value for an index in any order of asking", () => {
  const a = new RandomStream(7, "a"), b = new RandomStream(7, "a");
  const forwards = [0, 1, 2, 3].map((i) => a.uniform(i)), backwards = [3, 2, 1, 0].map((i) => b.uniform(i));
  assertEquals(forwards, backwards.reverse());
});

Deno.test("RandomStream uniform() fills [0, 1) evenly", () => {
  const stream = new RandomStream(3, "even"), n = 40_000, bins = new Array(20).fill(0);
  for (let i = 0; i < n; i++) bins[Math.floor(20 * stream.uniform(i))]++;
  // Chi-squared with 19 degrees of freedom: 43.8 is passed once in a thousand seeds.
  const chi = bins.reduce((sum, count) => sum + (count - n / 20) ** 2 / (n / 20), 0);
  assert(chi < 43.8, `chi-squared is ${chi}`);
});

Deno.test("RandomStream normal() has mean 0, variance 1, and neighbours that do not depend on each other", () => {
  const stream = new RandomStream(3, "normal"), n = 40_000;
  let sum = 0, squares = 0, fourths = 0, neighbours = 0, before = 0;
  for (let i = 0; i < n; i++) {
    const x = stream.normal(i);
    sum += x;
    squares += x * x;
    fourths += x ** 4;
    neighbours += x * before;
    before = x;
  }
  // Four standard errors: 1 for x, sqrt(2) for x^2, sqrt(96) for x^4, 1 for the product, each over sqrt(n).
  const bound = (deviation: number) => 4 * deviation / Math.sqrt(n);
  assert(Math.abs(sum / n) < bound(1), `mean ${sum / n}`);
  assert(Math.abs(squares / n - 1) < bound(Math.SQRT2), `variance ${squares / n}`);
  assert(Math.abs(fourths / n - 3) < bound(Math.sqrt(96)), `fourth moment ${fourths / n}`);
  assert(Math.abs(neighbours / n) < bound(1), `correlation ${neighbours / n}`);
});

Deno.test("RandomStream below() gives every number below the bound", () => {
  const stream = new RandomStream(3, "dice"), seen = new Set<number>();
  for (let i = 0; i < 200; i++) seen.add(stream.below(i, 6));
  assertEquals([...seen].sort(), [0, 1, 2, 3, 4, 5]);
});
