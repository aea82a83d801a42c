/** One request among others: the tokens and the log-probabilities that it has alone, to the bit. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { familyNamed } from "../../../models/mod.ts";
import { RandomStream } from "../../../nn/mod.ts";
import {
  type ChosenToken,
  Engine,
  type EngineLimits,
  type EngineRequest,
} from "../../../serve/engine/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { makeRank, scoresAfter, type SoloModel } from "../../support/engine.ts";

const SIZES = { layers: 2, heads: 4, embed: 32, context: 96, vocab: 61 };
const LIMITS: EngineLimits = {
  maxSequences: 8,
  maxRows: 64,
  prefillChunk: 64,
  context: 96,
  pageTokens: 16,
  numPages: 48,
};

/** A model of a family, from random weights. */
function build(modelType: string, more: object = {}): SoloModel {
  const family = familyNamed(modelType)!;
  return { family, config: family.configure({ ...SIZES, ...more }), seed: 5 };
}

async function makeEngine(model: SoloModel, limits: Partial<EngineLimits> = {}): Promise<Engine> {
  const all = { ...LIMITS, ...limits };
  return new Engine(await makeRank(model, all), all);
}

/** Runs requests to their ends, and gives what each has written. */
async function runAll(
  model: SoloModel,
  requests: readonly EngineRequest[],
  limits: Partial<EngineLimits> = {},
  arrivals: readonly number[] = [],
): Promise<{ written: Map<string, ChosenToken[]>; engine: Engine }> {
  const engine = await makeEngine(model, limits);
  const written = new Map(requests.map(({ id }) => [id, [] as ChosenToken[]]));
  const rest = requests.map((request, i) => ({ request, step: arrivals[i] ?? 0 }));
  for (let step = 0; rest.length > 0 || engine.isBusy; step++) {
    for (const { request } of rest.filter((one) => one.step <= step)) engine.add(request);
    rest.splice(0, rest.length, ...rest.filter((one) => one.step > step));
    if (!engine.isBusy) continue;
    for (const { id, chosen } of engine.step()) if (chosen !== undefined) written.get(id)!.push(chosen);
  }
  return { written, engine };
}

const promptOf = (seed: number, length: number) =>
  Array.from({ length }, (_, i) => (17 * i * i + 29 * i + seed * 11) % SIZES.vocab);
const OURS: EngineRequest = {
  ...{ id: "ours", prompt: promptOf(1, 37), numTokens: 20, temperature: 0.9, topK: 0, seed: 8 },
};

const MODELS: Record<string, readonly [modelType: string, more?: object]> = {
  "a GPT-2": ["gpt2"],
  "a Llama with 2 heads of keys": ["llama", { kvHeads: 2 }],
  "a Qwen 3 with one": ["qwen3", { kvHeads: 1 }],
  "a Mixtral": ["mixtral", { kvHeads: 2, experts: 4, topKExperts: 2 }],
};

for (const [name, [modelType, more]] of Object.entries(MODELS)) {
  Deno.test(`Engine gives a request of ${name} the same bits in any company`, async () => {
    const built = build(modelType, more);
    const alone = (await runAll(built, [OURS])).written.get("ours")!;
    assertEquals(alone.length, 20);
    assert(alone.every(({ logprob }) => logprob < 0 && Number.isFinite(logprob)));
    let numPreemptions = 0;
    for (let seed = 0; seed < 6; seed++) {
      const random = new RandomStream(seed, "schedule");
      let at = 0;
      const pick = (least: number, most: number) =>
        least + Math.floor(random.uniform(at++) * (most - least + 1));
      const others = Array.from({ length: 9 }, (_, i): EngineRequest => ({
        ...{ id: `other ${i}`, prompt: promptOf(i + 2, pick(1, 60)), numTokens: pick(1, 30), seed: i },
        ...{ temperature: 1, topK: 0 },
      }));
      const requests = [...others.slice(0, pick(0, 9)), OURS, ...others.slice(9)];
      const { written, engine } = await runAll(built, requests, {
        ...{ prefillChunk: [1, 7, 16, 64][pick(0, 3)], maxRows: [8, 24, 64][pick(0, 2)], pageTokens: 16 },
        numPages: pick(6, 20),
      }, requests.map(() => pick(0, 12)));
      assertEquals(written.get("ours"), alone);
      assertEquals(engine.numFreePages > 5, true);
      numPreemptions += engine.numPreemptions;
    }
    assert(numPreemptions > 0, "no schedule took pages from anybody");
  });
}

/** Log-probability of a token after others, as one pass over all of them has it. */
function logprobAfter(model: SoloModel, tokens: readonly number[], next: number): number {
  const scores = Float64Array.from(scoresAfter(model, tokens)), max = scores.reduce((a, b) => Math.max(a, b));
  return scores[next] - max - Math.log(scores.reduce((sum, score) => sum + Math.exp(score - max), 0));
}

for (const [name, [modelType, more]] of Object.entries(MODELS)) {
  Deno.test(`Engine scores tokens of ${name} as one pass does over those that count, also when the context is full`, async () => {
    const built = build(modelType, { ...more, context: 16 }), limits = { context: 16, pageTokens: 4 };
    const requests = [3, 16, 40].map((length) => ({
      ...{ ...OURS, id: `${length}`, prompt: promptOf(length, length), slides: true },
    }));
    const { written } = await runAll(built, requests, limits);
    for (const { id, prompt } of requests) {
      // Token by token: a ninth token of the second half pushes the first half out.
      let counted: number[] = [];
      const read = (token: number) =>
        counted = [...counted.length === 16 ? counted.slice(-7) : counted, token];
      prompt.forEach(read);
      for (const { token, logprob } of written.get(id)!) {
        const expected = logprobAfter(built, counted, token);
        assert(Math.abs(logprob - expected) < 1e-5, `${id}: ${logprob}, not ${expected}`);
        read(token);
      }
    }
  });
}

/** NaN became token -1; minus infinity is what a head gives whose sums overflow. */
Deno.test("Engine names a score that is not finite", async () => {
  for (const [value, shown] of [[NaN, "id 0 is NaN"], [9, "id 0 is Infinity"], [-9, "id 0 is -Infinity"]]) {
    const backend = makeBackend(), rank = await makeRank(build("gpt2"), LIMITS, backend);
    const of = (name: string) => backend.heap.f32(rank.scope.parameters.find((p) => p.name === name)!.span);
    const engine = new Engine(rank, LIMITS);
    of("ln_f.weight").fill(0);
    of("ln_f.bias").fill(0)[0] = 3e38;
    of("wte.weight").fill(0)[0] = value as number;
    engine.add({ ...OURS, prompt: [1] });
    assertThrows(() => engine.step(), RangeError, `Cannot choose a token: the logit of ${shown}`);
  }
});

Deno.test("Engine ends texts with a token that ends them, with the context, and when nobody wants them", async () => {
  const built = build("gpt2"), engine = await makeEngine(built);
  const { numFreePages } = engine;
  const tokens = (await runAll(built, [OURS])).written.get("ours")!.map(({ token }) => token);
  const end = tokens.findLastIndex((token, i) => tokens.indexOf(token) === i);
  assert(end > 0);
  engine.add({ ...OURS, endTokens: [tokens[end]] });
  engine.add({ ...OURS, id: "long", numTokens: 1000 });
  engine.add({ ...OURS, id: "gone" });
  const ends = new Map<string, string>(), lengths = new Map<string, number>();
  for (let step = 0; engine.isBusy; step++) {
    if (step === 2) assertEquals([engine.abort("gone"), engine.abort("gone")], [true, false]);
    for (const { id, chosen, finish } of engine.step()) {
      if (chosen !== undefined) lengths.set(id, (lengths.get(id) ?? 0) + 1);
      if (finish !== undefined) ends.set(id, finish);
    }
  }
  assertEquals([...ends], [["ours", "eos"], ["long", "length"]]);
  assertEquals([lengths.get("ours"), lengths.get("long")], [end, SIZES.context - OURS.prompt.length]);
  assertEquals(engine.numFreePages, numFreePages);
});

Deno.test("Engine refuses a prompt that leaves no room, and a request that all pages are too few for", async () => {
  const engine = await makeEngine(build("gpt2"), { numPages: 2 });
  assertThrows(() => engine.add({ ...OURS, prompt: promptOf(1, 96) }), RangeError, "it may have 1 to 95");
  assertThrows(() => engine.add(OURS), RangeError, "its 57 tokens need 4 pages, there are 2");
});

/** Two hundred schedules: company, chunks, pages, prefixes and arrivals by chance. */
Deno.test("Engine gives a request the same bits with its prefix in pages or not, and after any preemptions", async () => {
  const built = build("llama", { kvHeads: 2 }),
    alone = (await runAll(built, [OURS], { sharesPrefixes: false })).written;
  const expected = alone.get("ours")!;
  let numReused = 0, mostPreemptions = 0;
  // The passes of an engine may be those of the one before it.
  const rank = await makeRank(built, { ...LIMITS, maxRows: 32, numPages: 12 });
  for (let seed = 0; seed < 200; seed++) {
    const random = new RandomStream(seed, "schedule");
    let at = 0;
    const pick = (least: number, most: number) =>
      least + Math.floor(random.uniform(at++) * (most - least + 1));
    const limits = { ...LIMITS, maxRows: 32, prefillChunk: [1, 7, 16, 32][pick(0, 3)], numPages: 12 };
    const engine = new Engine(rank, limits), { numFreePages } = engine, found: ChosenToken[] = [];
    const others = Array.from({ length: pick(0, 7) }, (_, i): EngineRequest => ({
      ...{ id: `other ${i}`, numTokens: pick(1, 30), seed: i, temperature: 1, topK: 0 },
      prompt: pick(0, 1) === 0 ? promptOf(i + 2, pick(1, 60)) : [...OURS.prompt.slice(0, pick(1, 37)), i],
    }));
    const requests = [...others, OURS].map((request) => ({ request, step: pick(0, 12) }));
    for (let step = 0; requests.length > 0 || engine.isBusy; step++) {
      for (const one of requests.filter((one) => one.step <= step)) {
        engine.add(requests.splice(requests.indexOf(one), 1)[0].request);
      }
      if (!engine.isBusy) continue;
      for (const { id, chosen } of engine.step()) {
        if (id === "ours" && chosen !== undefined) found.push(chosen);
      }
    }
    assertEquals(found, expected, `schedule ${seed}`);
    assertEquals(engine.numFreePages, numFreePages);
    numReused += engine.numReused;
    mostPreemptions = Math.max(mostPreemptions, engine.numPreemptions);
  }
  assert(numReused > 1000 && mostPreemptions >= 2, `${numReused}, ${mostPreemptions}`);
});

Deno.test("Engine has all pages back after 1,000 requests, of which many are not wanted any more", async () => {
  const engine = await makeEngine(build("llama", { layers: 1, heads: 2, embed: 8 }), { numPages: 16 });
  const { numFreePages } = engine, random = new RandomStream(3, "requests"), open = new Set<string>();
  let at = 0, numDone = 0;
  const pick = (most: number) => Math.floor(random.uniform(at++) * most);
  for (let next = 0; next < 1000 || engine.isBusy;) {
    for (let i = pick(4); i > 0 && next < 1000 && engine.numOpen < 20; i--, next++) {
      open.add(`${next}`);
      const prompt = promptOf(pick(5), 1 + pick(40)), numTokens = 1 + pick(12);
      engine.add({ id: `${next}`, prompt, numTokens, temperature: 1, topK: 0, seed: next });
    }
    const ids = [...open];
    if (ids.length > 0 && pick(3) === 0) {
      const id = ids[pick(ids.length)];
      assertEquals(engine.abort(id), true);
      open.delete(id);
    }
    if (!engine.isBusy) continue;
    for (const { id, finish } of engine.step()) {
      if (finish === undefined) continue;
      assertEquals(open.delete(id), true);
      numDone++;
    }
  }
  assertEquals([engine.numFreePages, open.size], [numFreePages, 0]);
  assert(numDone > 300 && engine.numReused > 0, `${numDone}, ${engine.numReused}`);
});

Deno.test("Engine takes no memory for a step", async () => {
  const backend = makeBackend(), engine = new Engine(await makeRank(build("llama"), LIMITS, backend), LIMITS);
  const before = backend.heap.extentBytes;
  for (let i = 0; i < 12; i++) engine.add({ ...OURS, id: `${i}`, prompt: promptOf(i, 3 * i + 1) });
  while (engine.isBusy) engine.step();
  assertEquals(backend.heap.extentBytes, before);
});
