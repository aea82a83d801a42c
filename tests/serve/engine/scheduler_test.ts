import { assertEquals } from "@std/assert";
import { type EngineLimits, Scheduler } from "../../../serve/engine/mod.ts";

const LIMITS: EngineLimits = {
  maxSequences: 3,
  context: 64,
  maxRows: 12,
  prefillChunk: 8,
  pageTokens: 4,
  numPages: 8,
};

function schedulerOf(prompts: Record<string, number>, limits: Partial<EngineLimits> = {}): Scheduler {
  const scheduler = new Scheduler({ ...LIMITS, ...limits });
  for (const [id, length] of Object.entries(prompts)) {
    const prompt = Array(length).fill(0);
    scheduler.add({ id, prompt, numTokens: 8, temperature: 0, topK: 0, seed: 0 });
  }
  return scheduler;
}

/** The rows of the next step; afterwards they are cached, and who has read all has written one more token. */
function step(scheduler: Scheduler): string[] {
  return scheduler.next().map((run) => {
    const { sequence, first, rows } = run;
    scheduler.advance(run);
    if (sequence.numUnread === 0) sequence.tokens.push(0);
    return `${sequence.request.id}: ${first}+${rows}`;
  });
}

Deno.test("Scheduler fills a step with chunks of prompts, first come first", () => {
  const scheduler = schedulerOf({ a: 10, b: 6, c: 1, d: 1 });
  assertEquals(step(scheduler), ["a: 0+8", "b: 0+4"]);
  assertEquals(step(scheduler), ["a: 8+2", "b: 4+2", "c: 0+1"]);
  assertEquals(step(scheduler), ["a: 10+1", "b: 6+1", "c: 1+1"]);
});

Deno.test("Scheduler puts tokens that were written before prompts: a long one holds nobody up", () => {
  const scheduler = schedulerOf({ long: 20, short: 1 }, { maxRows: 9 });
  assertEquals(step(scheduler), ["long: 0+8", "short: 0+1"]);
  assertEquals(step(scheduler), ["short: 1+1", "long: 8+8"]);
});

Deno.test("Scheduler takes pages from those who came last, and reads these again", () => {
  const scheduler = schedulerOf({ a: 4, b: 4 }, { numPages: 3, sharesPrefixes: false });
  assertEquals(step(scheduler), ["a: 0+4", "b: 0+4"]);
  // One page is left: a has it, and b gives its own back.
  assertEquals(step(scheduler), ["a: 4+1"]);
  assertEquals([scheduler.numPreemptions, scheduler.numFreePages], [1, 1]);
  const a = scheduler.find("a")!;
  scheduler.remove(a);
  assertEquals(step(scheduler), ["b: 0+5"]);
  scheduler.remove(scheduler.find("b")!);
  assertEquals([scheduler.numFreePages, scheduler.numOpen, step(scheduler)], [3, 0, []]);
});

Deno.test("Scheduler holds no more sequences than it may", () => {
  const scheduler = schedulerOf({ a: 1, b: 1, c: 1, d: 1 });
  assertEquals(step(scheduler), ["a: 0+1", "b: 0+1", "c: 0+1"]);
  scheduler.remove(scheduler.find("b")!);
  assertEquals(step(scheduler), ["a: 1+1", "c: 1+1", "d: 0+1"]);
});

Deno.test("Scheduler reads what is in pages already no second time, but one token at least", () => {
  const scheduler = schedulerOf({ a: 9, b: 9, c: 8 }, { maxRows: 9, prefillChunk: 9 });
  assertEquals(step(scheduler), ["a: 0+9"]);
  // Two full pages of a are those of b, too; c needs what follows its last token.
  assertEquals(step(scheduler), ["a: 9+1", "b: 8+1", "c: 4+4"]);
  assertEquals([scheduler.numReused, scheduler.numFreePages], [12, 8 - 3 - 1 - 1]);
  for (const id of ["a", "b", "c"]) scheduler.remove(scheduler.find(id)!);
  assertEquals(scheduler.numFreePages, 8);
  // They are known until they are needed for others.
  const again = { id: "d", prompt: Array(5).fill(0), numTokens: 1, temperature: 0, topK: 0, seed: 0 };
  scheduler.add(again);
  assertEquals(step(scheduler), ["d: 4+1"]);
  scheduler.remove(scheduler.find("d")!);
  scheduler.add({ ...again, id: "e", prompt: Array(31).fill(1) });
  while (scheduler.find("e")!.numUnread > 1) step(scheduler);
  scheduler.remove(scheduler.find("e")!);
  scheduler.add({ ...again, id: "f" });
  assertEquals(step(scheduler), ["f: 0+5"]);
});
