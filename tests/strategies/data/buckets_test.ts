import { assert, assertEquals } from "@std/assert";
import { gptLayers } from "../../../models/mod.ts";
import { countParameters, planBuckets } from "../../../strategies/mod.ts";

const SIZES = { layers: 3, heads: 2, embed: 6, context: 5, vocab: 11 };

Deno.test("planBuckets() gives every layer a bucket, and the tied table one of its own", () => {
  const layers = gptLayers(SIZES), { buckets, layers: plans } = planBuckets(layers, layers, undefined);
  const names = ["wte.weight", "layer embedding", "layer h.0", "layer h.1", "layer h.2", "layer head"];
  assertEquals(buckets.map(({ name }) => name), names);
  assertEquals(buckets.map(({ isShared }) => isShared), [true, false, false, false, false, false]);
  assertEquals(plans.map(({ buckets }) => buckets), [[0, 1], [2], [3], [4], [0, 5]]);
});

Deno.test("planBuckets() starts every parameter on a line of 64 bytes, without overlaps", () => {
  for (const { entries, length } of planBuckets(gptLayers(SIZES), gptLayers(SIZES), undefined).buckets) {
    let end = 0;
    for (const entry of entries) {
      assertEquals(entry.offset % 16, 0);
      assert(entry.offset >= end && entry.offset < end + 16);
      end = entry.offset + entry.length;
    }
    assert(end <= length);
  }
});

Deno.test("planBuckets() lays the copies of a shared parameter on two stages alike", () => {
  const all = gptLayers(SIZES), first = planBuckets(all, all.slice(0, 2), undefined);
  const last = planBuckets(all, all.slice(2), undefined);
  const tied = [first, last].map(({ buckets }) => buckets.find(({ name }) => name === "wte.weight"));
  assertEquals(tied[0], tied[1]);
  assertEquals(last.layers.at(-1)!.buckets.map((place) => last.buckets[place].name), [
    "wte.weight",
    "layer head",
  ]);
});

Deno.test("countParameters() counts a tied table where it is made", () => {
  const block = 12 * 36 + 13 * 6;
  assertEquals(countParameters(gptLayers(SIZES)), [11 * 6 + 5 * 6, block, block, block, 12]);
});
