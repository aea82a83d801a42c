import { assertEquals } from "@std/assert";
import { NO_PREFIX, PagePool } from "../../../serve/engine/page_pool.ts";

Deno.test("PagePool gives each page once, and takes pages back", () => {
  const pool = new PagePool(3), pages = [pool.take()!, pool.take()!, pool.take()!];
  assertEquals([pages, pool.take(), pool.numFree], [[0, 1, 2], undefined, 0]);
  pool.release(pages);
  assertEquals([pages, pool.numFree, pool.take()], [[], 3, 0]);
});

Deno.test("PagePool shares pages of the same tokens behind the same ones, and keeps them until others need them", () => {
  const pool = new PagePool(3), first = pool.take()!, second = pool.take()!;
  const behind = pool.learn(first, NO_PREFIX, [1, 2]), end = pool.learn(second, behind, [1, 2]);
  assertEquals(behind !== end, true);
  assertEquals(pool.share(NO_PREFIX, [1, 2]), { page: first, prefix: behind });
  assertEquals(pool.share(behind, [1, 2]), { page: second, prefix: end });
  assertEquals([pool.share(behind, [2, 1]), pool.share(end, [1, 2])], [undefined, undefined]);
  // A page that holds the same is no other place.
  const third = pool.take()!;
  assertEquals(pool.learn(third, NO_PREFIX, [1, 2]), behind);
  pool.release([third]);
  pool.release([first, second]);
  assertEquals(pool.numFree, 1);
  pool.release([first, second]);
  assertEquals(pool.numFree, 3);
  // What was free goes first, then what came last in its sequence.
  assertEquals([pool.take(), pool.take()], [third, second]);
  assertEquals(pool.share(NO_PREFIX, [1, 2])?.page, first);
  assertEquals([pool.share(behind, [1, 2]), pool.take()], [undefined, undefined]);
});
