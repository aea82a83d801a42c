import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Backend } from "../../kernels/mod.ts";
import { loadDirectory } from "../../checkpoint/checkpoint.ts";
import { readTensor } from "../../files/mod.ts";
import { Gpt } from "../../models/mod.ts";
import { Scope, Tape } from "../../nn/mod.ts";
import { TokenWriter } from "../../serve/writer.ts";
import { makeBackend } from "../support/device.ts";

const SIZES = { layers: 2, heads: 2, embed: 16, context: 8, vocab: 29 };
const token = (i: number) => (13 * i + 4) % SIZES.vocab;
const OPTIONS = { numTokens: 30, temperature: 1, topK: 0, seed: 3 };

function build(): { backend: Backend; model: Gpt } {
  const backend = makeBackend();
  return { backend, model: new Gpt(Scope.root(backend.heap, 4), SIZES) };
}

/** Scores after the last of these tokens, from one full pass. */
function fullPass(backend: Backend, model: Gpt, ids: readonly number[]): Float32Array {
  const tape = new Tape({ backend, training: false }), input = tape.input("ids", [1, ids.length], "i32");
  const logits = model.logits(tape, input);
  backend.heap.i32(input.span).set(ids);
  tape.forward();
  const scores = backend.heap.f32(logits.span).slice(-SIZES.vocab);
  tape.release();
  return scores;
}

Deno.test("TokenWriter scores as a full pass over the tokens that it remembers, also when the context is full", () => {
  const { backend, model } = build(), writer = new TokenWriter(backend, model.decoder);
  let remembered: number[] = [];
  for (let i = 0; i < 3 * SIZES.context; i++) {
    writer.read(token(i));
    if (remembered.length === SIZES.context) remembered = remembered.slice(-(SIZES.context / 2 - 1));
    remembered.push(token(i));
    const expected = fullPass(backend, model, remembered);
    const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
    // As in gpt_test.ts: a dozen sums of at most 64 terms in another order.
    const bound = 12 * 2 ** -24 * Math.sqrt(64) * largest;
    writer.logits.forEach((value, j) =>
      assert(Math.abs(value - expected[j]) <= bound, `token ${i}, logit ${j}`)
    );
  }
});

/** How far scores are apart at most, in the largest of them. */
function distance(a: Float32Array, b: Float32Array): number {
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0) / largest;
}

Deno.test("TokenWriter readAll() leaves what reading one by one does, also when the context is full", () => {
  for (const context of [1, 7, 9, 150]) {
    const backend = makeBackend(), model = new Gpt(Scope.root(backend.heap, 4), { ...SIZES, context });
    for (const lengths of [[1, 2, 3], [9, 64, 20], [100, 72, 1], [149, 2], [333]]) {
      const many = new TokenWriter(backend, model.decoder), single = new TokenWriter(backend, model.decoder);
      let count = 0;
      for (const length of lengths) {
        const tokens = Array.from({ length }, (_, i) => token(count + i));
        many.readAll(tokens);
        for (const one of tokens) single.read(one);
        count += length;
        const apart = distance(many.logits, single.logits);
        assert(apart < 1e-5, `context ${context}, after ${count} tokens: ${apart}`);
      }
      many.close();
      single.close();
    }
  }
});

for (const name of ["llama-tiny", ...["mistral_window", "qwen2", "qwen3", "mixtral", "qwen3_moe"]]) {
  Deno.test(`a prompt that is read in one pass has the scores of one that is read one by one: ${name}`, async () => {
    const path = name === "llama-tiny" ? name : `families/${name}`;
    const { family, config, weights } = await loadDirectory(
      new URL(`../golden/${path}/init`, import.meta.url).pathname,
    );
    const backend = makeBackend(), scope = Scope.of({ heap: backend.heap, seed: undefined });
    const model = family.decoder(scope, config);
    for (const { name, span } of scope.parameters) {
      backend.heap.f32(span).set(readTensor(weights.get(name)!));
    }
    const many = new TokenWriter(backend, model), single = new TokenWriter(backend, model);
    const tokens = Array.from({ length: model.context - 3 }, (_, i) => (7 * i * i + i) % 90);
    many.readAll(tokens);
    for (const one of tokens) single.read(one);
    const apart = distance(many.logits, single.logits);
    assert(apart < 1e-5, `${apart}`);
  });
}

Deno.test("TokenWriter write() gives the same text for the same seed, and stops after numTokens", () => {
  const { backend, model } = build(),
    write = (
      seed: number,
    ) => [...new TokenWriter(backend, model.decoder).write({ ...OPTIONS, prompt: [1, 2], seed })];
  const text = write(3);
  assertEquals(text.length, 30);
  assertEquals(write(3), text);
  assert(write(4).join() !== text.join());
});

Deno.test("TokenWriter write() ends before a token that ends the text", () => {
  const { backend, model } = build(),
    prompt = [1, 2],
    all = [
      ...new TokenWriter(backend, model.decoder).write({ ...OPTIONS, prompt }),
    ];
  const end = all[7],
    text = [...new TokenWriter(backend, model.decoder).write({ ...OPTIONS, prompt, endTokens: [99, end] })];
  assertEquals(text, all.slice(0, all.indexOf(end)));
});

/** NaN became token -1; minus infinity is what a head gives whose sums overflow. */
Deno.test("TokenWriter write() names a score that is not finite", () => {
  for (
    const [value, shown] of [[NaN, "id 0 is NaN"], [9, "id 0 is Infinity"], [
      -9,
      "id 0 is -Infinity",
    ]] as const
  ) {
    const backend = makeBackend(), scope = Scope.root(backend.heap, 4), model = new Gpt(scope, SIZES);
    const of = (name: string) => backend.heap.f32(scope.parameters.find((p) => p.name === name)!.span);
    const writer = new TokenWriter(backend, model.decoder);
    of("ln_f.weight").fill(0);
    of("ln_f.bias").fill(0)[0] = 3e38;
    of("wte.weight").fill(0)[0] = value;
    const write = () => [...writer.write({ ...OPTIONS, prompt: [1] })];
    assertThrows(write, RangeError, `Cannot choose a token: the logit of ${shown}`);
  }
});

Deno.test("TokenWriter close() gives its memory back", () => {
  const { backend, model } = build();
  const write = () => {
    const writer = new TokenWriter(backend, model.decoder);
    assertEquals([...writer.write({ ...OPTIONS, prompt: [1] })].length, OPTIONS.numTokens);
    writer.close();
    return backend.heap.usedBytes();
  };
  // The first pass leaves the workspace of its kernels, which every later one uses.
  const used = write();
  assertEquals(used.activations, 0);
  assertEquals(write(), used);
});
