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
  return scheduler.next().map(({ sequence, first, rows }) => {
    sequence.numCached += rows;
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
  const scheduler = schedulerOf({ a: 4, b: 4 }, { numPages: 3 });
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
