import { assert, assertEquals, assertThrows } from "@std/assert";
import { type LayerFacts, partitionLayers } from "../../../strategies/pipeline/partition.ts";

function layersOf(weights: readonly number[], costs?: readonly number[]): LayerFacts[] {
  return weights.map((parameters, i) => ({ name: `h.${i}`, type: "Block", parameters, cost: costs?.[i] }));
}

const GPT: readonly LayerFacts[] = [
  { name: "embed", type: "Embedding", parameters: 300 },
  ...layersOf([100, 100, 100, 100, 100, 100]),
  { name: "head", type: "Linear", parameters: 310 },
];

/** All ways to cut n layers into k runs. */
function allCounts(n: number, k: number): number[][] {
  if (k === 1) return [[n]];
  return Array.from({ length: n - k + 1 }, (_, i) => i + 1)
    .flatMap((first) => allCounts(n - first, k - 1).map((rest) => [first, ...rest]));
}

function loadsOf(weights: readonly number[], counts: readonly number[]): number[] {
  let start = 0;
  return counts.map((count) => weights.slice(start, start += count).reduce((a, b) => a + b, 0));
}

Deno.test("partitionLayers() uniform: numbers of layers differ by one at most", () => {
  assertEquals(partitionLayers(GPT, { numStages: 4, method: "uniform" }), {
    counts: [2, 2, 2, 2],
    ranges: [{ start: 0, end: 2 }, { start: 2, end: 4 }, { start: 4, end: 6 }, { start: 6, end: 8 }],
    loads: [2, 2, 2, 2],
  });
  for (let n = 1; n <= 12; n++) {
    for (let k = 1; k <= n; k++) {
      const { counts } = partitionLayers(layersOf(Array(n).fill(1)), { numStages: k, method: "uniform" });
      assertEquals(counts.reduce((a, b) => a + b), n);
      assert(Math.max(...counts) - Math.min(...counts) <= 1);
    }
  }
});

Deno.test("partitionLayers() parameters: large layers stand alone", () => {
  const { counts, loads } = partitionLayers(GPT, { numStages: 4, method: "parameters" });
  assertEquals(counts, [1, 3, 3, 1]);
  assertEquals(loads, [300, 300, 300, 310]);
});

Deno.test("partitionLayers() type: balances layers of a type, in any case", () => {
  const { counts, loads } = partitionLayers(GPT, { numStages: 3, method: "type:block" });
  assertEquals(loads, [2, 2, 2]);
  assertEquals(counts, [3, 2, 3]);
  const between = ["Block", "Norm", "Norm", "Block"].map((type) => ({ name: type, type, parameters: 0 }));
  assertEquals(partitionLayers(between, { numStages: 2, method: "type:block" }).counts, [2, 2]);
  assertEquals(partitionLayers(GPT, { numStages: 2, method: "type:^(embed|lin)" }).loads, [1, 1]);
});

Deno.test("partitionLayers() explicit: counts as given", () => {
  assertEquals(partitionLayers(GPT, { numStages: 4, method: "3,3,1,1" }).ranges.at(-1), { start: 7, end: 8 });
});

Deno.test("partitionLayers() measured: balances costs", () => {
  const { counts, loads } = partitionLayers(layersOf([9, 9, 9, 9], [1.5, 0.5, 0.5, 0.5]), {
    numStages: 2,
    method: "measured",
  });
  assertEquals(counts, [1, 3]);
  assertEquals(loads, [1.5, 1.5]);
});

Deno.test("partitionLayers() is as good as the best of all splits, and the most even of these", () => {
  let numCompared = 0, state = 12345;
  for (let n = 1; n <= 8; n++) {
    for (let k = 1; k <= n; k++) {
      for (let round = 0; round < 4; round++) {
        const weights = Array.from({ length: n }, () => (state = (state * 1103515245 + 12345) % 2 ** 31) % 7);
        const { counts, loads } = partitionLayers(layersOf(weights), { numStages: k, method: "parameters" });
        assertEquals(loads, loadsOf(weights, counts));
        const all = allCounts(n, k).map((each) => loadsOf(weights, each));
        const best = Math.min(...all.map((each) => Math.max(...each)));
        const squares = (each: readonly number[]) => each.reduce((sum, x) => sum + x * x, 0);
        const even = Math.min(...all.filter((each) => Math.max(...each) === best).map(squares));
        assertEquals([Math.max(...loads), squares(loads)], [best, even], `${weights} over ${k}`);
        numCompared += all.length;
      }
    }
  }
  assertEquals(numCompared, 4 * 255);
});

Deno.test("partitionLayers() refuses by name what cannot be", () => {
  const two = layersOf([1, 2]);
  const cases: [number, string, string][] = [
    [3, "uniform", "2 layers over 3 stages: each stage needs a layer"],
    [0, "uniform", "over 0 stages: a whole number from 1 is needed"],
    [2, "1,2", "partition 1,2: its sum is 3, the model has 2 layers"],
    [2, "1,1,0", "partition 1,1,0: it has 3 counts for 2 stages"],
    [2, "0,2", "partition 0,2: each stage needs a layer"],
    [2, "measured", "layer h.0 with cost undefined: a number from 0 is needed"],
    [2, "type:attention", "type:attention over 2 stages: 0 of 2 layers match, each stage needs one"],
  ];
  for (const [numStages, method, message] of cases) {
    assertThrows(() => partitionLayers(two, { numStages, method }), RangeError, message);
  }
  assertThrows(
    () => partitionLayers(layersOf([1, NaN]), { numStages: 1, method: "parameters" }),
    RangeError,
    "h.1",
  );
  assertThrows(
    () => partitionLayers(two, { numStages: 1, method: "best" }),
    SyntaxError,
    'by "best": known are',
  );
  assertThrows(
    () => partitionLayers(two, { numStages: 1, method: "type:(" }),
    SyntaxError,
    "regular expression",
  );
});
