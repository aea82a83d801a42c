import { assertEquals } from "@std/assert";
import { nameOf } from "../matrix/cells.ts";
import { coveringCells } from "../matrix/covering.ts";
import { runCell } from "../matrix/run_cell.ts";

// The whole matrix is `deno task test:matrix`.
Deno.test("every pair of strategies and settings trains with the bits of one device", async (t) => {
  for (const cell of coveringCells()) {
    await t.step(nameOf(cell), async () => {
      const result = await runCell(cell);
      assertEquals(result.kind, "same", "reason" in result ? result.reason : "");
    });
  }
});
