import { assertEquals } from "@std/assert";
import { GradientFold } from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";

Deno.test("GradientFold sums micro-batches in pairs, step after step", () => {
  const backend = makeBackend(), { heap } = backend, span = heap.allocate("gradient", 2, "gradients");
  const fold = new GradientFold(backend, { name: "gradient", length: 2, microBatches: 4 });
  // Added one by one, 1 is lost beside 2^24 each time.
  const parts = [[1, 2 ** 24], [1, 1], [2 ** 24, 1], [-(2 ** 24), 1]];
  for (let step = 0; step < 2; step++) {
    const isLast = parts.map((values) => {
      heap.f32(span).set(values);
      return fold.add(span);
    });
    assertEquals(isLast, [false, false, false, true]);
    assertEquals([...heap.f32(span)], [2, 2 ** 24 + 2]);
  }
});
