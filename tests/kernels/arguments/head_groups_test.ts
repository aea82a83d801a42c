import { assertEquals } from "@std/assert";
import { groupSize } from "../../../kernels/arguments/head_groups.ts";

Deno.test("groupSize() is the number of heads of q for each of k and v", () => {
  assertEquals(groupSize({ heads: 12 }), 1);
  assertEquals([1, 3, 12].map((kvHeads) => groupSize({ heads: 12, kvHeads })), [12, 4, 1]);
  assertEquals(groupSize({ heads: 0, kvHeads: 0 }), 1);
});
