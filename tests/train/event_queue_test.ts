import { assert, assertEquals, assertRejects } from "@std/assert";
import { EventQueue } from "../../train/event_queue.ts";

Deno.test("EventQueue gives events in order, those before and those after the wait began", async () => {
  const queue = new EventQueue<number>(), taken: number[] = [];
  queue.push(1);
  const reader = (async () => {
    for await (const event of queue) taken.push(event);
  })();
  await Promise.resolve();
  queue.push(2);
  queue.push(3);
  queue.end();
  await reader;
  assertEquals(taken, [1, 2, 3]);
});

Deno.test("EventQueue fail() throws after the events before it", async () => {
  const queue = new EventQueue<number>(), taken: number[] = [];
  queue.push(1);
  queue.fail(new RangeError("broken"));
  const read = async () => {
    for await (const event of queue) taken.push(event);
  };
  await assertRejects(read, RangeError, "broken");
  assertEquals(taken, [1]);
});

Deno.test("EventQueue push() holds the sender back when many events wait, until some are taken", async () => {
  const queue = new EventQueue<number>();
  let numPushed = 0, held: Promise<void> | void;
  while ((held = queue.push(numPushed++)) === undefined) assert(numPushed < 1000, "never held back");
  let isFree = false;
  held.then(() => isFree = true);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(isFree, false);
  assertEquals((await queue[Symbol.asyncIterator]().next()).value, 0);
  await held;
});

Deno.test("EventQueue drain() drops what there is and what comes, and frees the sender", async () => {
  const queue = new EventQueue<number>();
  let held: Promise<void> | void;
  while ((held = queue.push(0)) === undefined);
  queue.drain();
  await held;
  assertEquals(queue.push(1), undefined);
  queue.end();
  assertEquals(await Array.fromAsync(queue), []);
});
