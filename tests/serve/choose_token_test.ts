import { assert, assertEquals, assertThrows } from "@std/assert";
import { chooseToken, type SamplerOptions } from "../../serve/mod.ts";

const LOGITS = Float32Array.from([0.5, 2, -1, 2, 0]);
const OPTIONS: SamplerOptions = { temperature: 1, topK: 0, seed: 5 };

function frequencies(options: Partial<SamplerOptions>, n = 20_000): number[] {
  const counts = new Array(LOGITS.length).fill(0);
  for (let i = 0; i < n; i++) counts[chooseToken(LOGITS, i, { ...OPTIONS, ...options })]++;
  return counts.map((count) => count / n);
}

function softmax(temperature: number, allowed: number[]): number[] {
  const weights = [...LOGITS].map((logit, i) => allowed.includes(i) ? Math.exp(logit / temperature) : 0);
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

/** Four standard deviations of a frequency over n draws. */
function assertClose(actual: number[], expected: number[], n = 20_000): void {
  actual.forEach((value, i) => {
    const bound = 4 * Math.sqrt(expected[i] * (1 - expected[i]) / n);
    assert(Math.abs(value - expected[i]) <= bound, `token ${i}: ${value}, not ${expected[i]}`);
  });
}

Deno.test("chooseToken() with temperature 0 takes the likeliest token, the first of equals", () => {
  for (let i = 0; i < 10; i++) assertEquals(chooseToken(LOGITS, i, { ...OPTIONS, temperature: 0 }), 1);
});

Deno.test("chooseToken() draws with the probabilities of the softmax", () => {
  assertClose(frequencies({}), softmax(1, [0, 1, 2, 3, 4]));
  assertClose(frequencies({ temperature: 0.5 }), softmax(0.5, [0, 1, 2, 3, 4]));
  assertClose(frequencies({ temperature: 3 }), softmax(3, [0, 1, 2, 3, 4]));
});

Deno.test("chooseToken() with top-k draws among the k likeliest only", () => {
  assertClose(frequencies({ topK: 3 }), softmax(1, [0, 1, 3]));
  assertEquals(frequencies({ topK: 1 }), [0, 1, 0, 0, 0]);
  assertClose(frequencies({ topK: 99 }), softmax(1, [0, 1, 2, 3, 4]));
});

Deno.test("chooseToken() with top-p draws among the fewest tokens that have the share", () => {
  const [a, b, , d] = softmax(1, [0, 1, 2, 3, 4]);
  assertClose(frequencies({ topP: b + d - 1e-6 }), softmax(1, [1, 3]));
  assertClose(frequencies({ topP: b + d + a / 2 }), softmax(1, [0, 1, 3]));
  assertEquals(frequencies({ topP: 1e-9 }), [0, 1, 0, 0, 0]);
  // Of those that top-k leaves, as Hugging Face has it.
  assertClose(frequencies({ topK: 3, topP: 0.85 }), softmax(1, [1, 3]));
});

Deno.test("chooseToken() with min-p leaves out what is unlikely beside the likeliest token", () => {
  assertClose(frequencies({ minP: Math.exp(-1.6) }), softmax(1, [0, 1, 3]));
  assertClose(frequencies({ minP: 1 }), softmax(1, [1, 3]));
  assertClose(frequencies({ minP: Math.exp(-0.8), temperature: 2 }), softmax(2, [0, 1, 3]));
});

Deno.test("chooseToken() with a repetition penalty prefers what the text has not", () => {
  const choose = (text: number[], repetitionPenalty: number) =>
    chooseToken(LOGITS, 0, { ...OPTIONS, temperature: 0, repetitionPenalty }, text);
  assertEquals([choose([1], 1), choose([1], 1.1), choose([1, 3], 5), choose([0, 1, 3], Infinity)], [
    1,
    3,
    0,
    0,
  ]);
  // A logit below 0 is multiplied: -1 becomes -4, not -0.25.
  const low = Float32Array.from([-1, -2]);
  assertEquals(chooseToken(low, 0, { ...OPTIONS, temperature: 0, repetitionPenalty: 4 }, [0]), 1);
});

Deno.test("chooseToken() depends on (seed, index, logits) only", () => {
  const draw = (seed: number) =>
    Array.from({ length: 50 }, (_, i) => chooseToken(LOGITS, i, { ...OPTIONS, seed }));
  assertEquals(draw(5), draw(5));
  assert(draw(5).join() !== draw(6).join());
});

Deno.test("chooseToken() bears logits that are large or minus infinity", () => {
  const logits = Float32Array.from([3e38, -Infinity, 3e38]);
  for (let i = 0; i < 50; i++) assert(chooseToken(logits, i, OPTIONS) !== 1);
});

/** `indexOf(NaN)` is -1: a model with a NaN wrote token -1, and ended well. */
Deno.test("chooseToken() names a logit that is not finite, with every way to choose", () => {
  for (const options of [{ temperature: 0 }, { temperature: 1 }, { temperature: 1, topK: 2 }]) {
    for (const value of [NaN, Infinity]) {
      const logits = Float32Array.from([0, 1, value, 2]);
      assertThrows(
        () => chooseToken(logits, 0, { ...OPTIONS, ...options }),
        RangeError,
        `the logit of id 2 is ${value}`,
      );
    }
    const none = new Float32Array(3).fill(-Infinity);
    assertThrows(
      () => chooseToken(none, 0, { ...OPTIONS, ...options }),
      RangeError,
      "all logits are -Infinity",
    );
  }
});

Deno.test("chooseToken() takes the likeliest token at temperatures that are next to 0", () => {
  for (const temperature of [1e-3, 1e-45, 1e-300, 5e-324]) {
    for (const topK of [0, 2]) {
      const logits = Float32Array.from([-3e38, 3e38, 2, -Infinity, 1e-45]);
      for (let i = 0; i < 20; i++) assertEquals(chooseToken(logits, i, { ...OPTIONS, temperature, topK }), 1);
    }
  }
});

Deno.test("chooseToken() adds biases, and takes from what was written", () => {
  const choose = (options: object, index: number, text: number[]) =>
    chooseToken(LOGITS, index, { ...OPTIONS, temperature: 0, ...options }, text);
  assertEquals(choose({}, 0, []), 1);
  assertEquals(choose({ logitBias: { 0: 100 } }, 0, []), 0);
  assertEquals(choose({ logitBias: { 1: -100 } }, 0, []), 3);
  // The prompt does not count, what was written does.
  assertEquals(choose({ presencePenalty: 2 }, 0, [1, 1]), 1);
  assertEquals(choose({ presencePenalty: 2 }, 1, [3, 1]), 3);
  const twice = chooseToken(
    Float32Array.of(1, 0.5),
    2,
    { ...OPTIONS, temperature: 0, frequencyPenalty: 0.3 },
    [0, 0],
  );
  assertEquals(twice, 1);
});

Deno.test("chooseToken() leaves the same tokens as a sort of all, of a large vocabulary", () => {
  const logits = Float32Array.from(
    { length: 5000 },
    (_, i) => 6 * Math.sin(i * i * 0.37) + (i % 7 === 0 ? 3 : 0),
  );
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const weights = order.map((id) => Math.exp(logits[id] - logits[order[0]])),
    all = weights.reduce((a, b) => a + b, 0);
  const cases: [object, number][] = [
    [{ topK: 3 }, 3],
    [{ topK: 900 }, 900],
    [{ topP: 0.2 }, countOf((share) => share < 0.2)],
    [{ topP: 0.999 }, countOf((share) => share < 0.999)],
    [{ minP: 0.3 }, weights.findIndex((weight) => weight < 0.3)],
  ];
  function countOf(isBelow: (share: number) => boolean): number {
    let sum = 0;
    return 1 + weights.findIndex((weight) => !isBelow((sum += weight) / all));
  }
  for (const [options, count] of cases) {
    const allowed = new Set(order.slice(0, count)), seen = new Set<number>();
    for (let i = 0; i < 300; i++) {
      seen.add(chooseToken(logits, i, { ...OPTIONS, temperature: 1, ...options }));
    }
    assertEquals([...seen].filter((id) => !allowed.has(id)), [], JSON.stringify(options));
    assert(seen.size > Math.min(2, count - 1));
  }
});
