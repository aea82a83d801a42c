import { assertEquals } from "@std/assert";
import { PagePool } from "../../../serve/engine/page_pool.ts";

Deno.test("PagePool gives each page once, and takes pages back", () => {
  const pool = new PagePool(3), pages = [pool.take()!, pool.take()!, pool.take()!];
  assertEquals([pages, pool.take(), pool.numFree], [[0, 1, 2], undefined, 0]);
  pool.release(pages);
  assertEquals([pages, pool.numFree, pool.take()], [[], 3, 0]);
});
