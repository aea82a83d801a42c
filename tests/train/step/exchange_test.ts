import { assert, assertEquals } from "@std/assert";
import { launch } from "../../../actors/mod.ts";
import { Mesh } from "../../../strategies/mod.ts";
import { within } from "../../support/deadline.ts";
import type { StepSummary } from "../../../train/step/exchange.ts";

Deno.test("StepExchange gives every rank the same summary of all ranks", async () => {
  const world = launch({
    program: import.meta.resolve("../support/exchange_program.ts"),
    topology: new Mesh({ dp: 3 }).topology(),
    deviceMemoryBytes: 1 << 20,
  });
  const [first, second, third] = await within(world.done) as StepSummary[][];
  assertEquals(second, first);
  assertEquals(third, first);
  // Sums of 0.1, 0.2, 0.3 in the order of the ranks: the same bits on all of them.
  assertEquals(first.map(({ lossSum }) => lossSum), [0.1 + 0.2 + 0.3, 0.1 + 0.2 + 0.3]);
  for (const { devices, isStopRequested } of first) {
    assertEquals(isStopRequested, false);
    assertEquals(devices.map(({ rank }) => rank), [0, 1, 2]);
    for (const { computeMs, copyMs, waitMs, peakBytes } of devices) {
      assert(computeMs >= 0 && copyMs >= 0 && waitMs >= 0);
      assert(peakBytes > 0 && peakBytes <= 1 << 20);
    }
  }
  const [early, late] = first;
  assert(early.devices[2].peakBytes < late.devices[2].peakBytes, "rank 2 has allocated between the steps");
});
