import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceError, WorkerPool } from "../../actors/mod.ts";
import { start, within } from "./support/world.ts";

Deno.test("WorkerPool gives the workers of a world that has ended to the next one", async () => {
  using pool = new WorkerPool();
  const first = start(["rank", "rank"], { pool });
  assertEquals(await within(first.done, first), [0, 10]);
  const [a, b] = [pool.take(), pool.take()], fresh = pool.take();
  assertEquals([a.numWorlds, b.numWorlds, fresh.numWorlds], [1, 1, 0]);
  for (const worker of [a, b, fresh]) pool.give(worker);
  const second = start(["rank", "rank", "rank"], { pool });
  assertEquals(await within(second.done, second), [0, 10, 20]);
});

Deno.test("WorkerPool does not get the workers of a world that has failed", async () => {
  using pool = new WorkerPool();
  const failing = start(["rank", "throw"], { pool });
  await assertRejects(() => within(failing.done, failing), DeviceError);
  const worker = pool.take();
  assertEquals(worker.numWorlds, 0);
  pool.give(worker);
});

Deno.test("WorkerPool hears of a worker only what concerns its present world", async () => {
  using pool = new WorkerPool();
  const reports: unknown[][] = [[], []];
  for (const seen of reports) {
    const world = start(["report"], { pool, onReport: (_rank, value) => void seen.push(value) });
    await within(world.done, world);
  }
  assert(reports[0].length > 0);
  assertEquals(reports[1], reports[0]);
});

Deno.test("WorkerPool replaces a worker after many worlds", async () => {
  using pool = new WorkerPool();
  const counts: number[] = [];
  for (let i = 0; i < 66; i++) {
    const world = start(["rank"], { pool });
    await within(world.done, world);
    const worker = pool.take();
    counts.push(worker.numWorlds);
    pool.give(worker);
  }
  assertEquals(counts, [...Array.from({ length: 63 }, (_, i) => i + 1), 0, 1, 2]);
});
