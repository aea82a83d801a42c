/** The runs on several devices are in tests/equivalence; here: order, and what is refused. */
import { assertEquals, assertThrows } from "@std/assert";
import { Tape } from "../../../nn/mod.ts";
import { formatInstruction, makeSchedule, Pipeline, type StageRunner } from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

function recorder(log: string[], skip: (microBatch: number) => boolean = () => false): StageRunner {
  const tape = new Tape({ backend: makeBackend(), training: true });
  return {
    prepare: ({ microBatch }) => skip(microBatch) ? undefined : { tape },
    enter: (instruction) => log.push(formatInstruction(instruction)),
    onForward: () => log.push("loss"),
  };
}

Deno.test("Pipeline runs the instructions of its device in order", () => {
  const log: string[] = [];
  new Pipeline(fakeGroup(), makeSchedule("1f1b", { p: 1, m: 2 })).run(recorder(log));
  assertEquals(log, ["0F0", "loss", "0B0", "0F1", "loss", "0B1"]);
});

Deno.test("Pipeline skips micro-batches without samples", () => {
  const log: string[] = [];
  new Pipeline(fakeGroup(), makeSchedule("1f1b", { p: 1, m: 3 })).run(recorder(log, (i) => i === 1));
  assertEquals(log, ["0F0", "loss", "0B0", "0F2", "loss", "0B2"]);
});

Deno.test("Pipeline needs one recording for each micro-batch in flight", () => {
  assertEquals(new Pipeline(fakeGroup(4, 0), makeSchedule("1f1b", { p: 4, m: 8 })).slotsOfStage, [
    4,
    3,
    2,
    1,
  ]);
  assertEquals(new Pipeline(fakeGroup(2, 0), makeSchedule("gpipe", { p: 2, m: 6 })).slotsOfStage, [6, 6]);
});

Deno.test("Pipeline refuses a schedule for another number of devices, or one that cannot run", () => {
  assertThrows(
    () => new Pipeline(fakeGroup(2), makeSchedule("1f1b", { p: 4, m: 4 })),
    RangeError,
    "for 4 devices on a pipeline of 2",
  );
  const broken = { ...makeSchedule("1f1b", { p: 1, m: 2 }), devices: [[]] };
  assertThrows(() => new Pipeline(fakeGroup(), broken), RangeError, "Cannot run schedule");
});
