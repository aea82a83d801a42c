import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  chunkOfStage,
  deviceOfStage,
  gpipe,
  interleaved,
  makeSchedule,
  oneForwardOneBackward,
  type Schedule,
  SCHEDULES,
  zeroBubble,
} from "../../../strategies/pipeline/schedule.ts";
import { drawSchedule } from "../../../strategies/pipeline/schedule_picture.ts";
import { formatSchedule } from "../../../strategies/pipeline/schedule_text.ts";

function lists(schedule: Schedule): string[] {
  return formatSchedule(schedule).trimEnd().split("\n").slice(1);
}

Deno.test("gpipe() goes forward with all micro-batches before it goes back", () => {
  assertEquals(lists(gpipe(2, 3)), [
    "0: 0F0 0F1 0F2 0B0 0B1 0B2",
    "1: 1F0 1F1 1F2 1B0 1B1 1B2",
  ]);
});

Deno.test("oneForwardOneBackward() warms up with as many micro-batches as there are devices behind", () => {
  assertEquals(lists(oneForwardOneBackward(4, 5)), [
    "0: 0F0 0F1 0F2 0F3 0B0 0F4 0B1 0B2 0B3 0B4",
    "1: 1F0 1F1 1F2 1B0 1F3 1B1 1F4 1B2 1B3 1B4",
    "2: 2F0 2F1 2B0 2F2 2B1 2F3 2B2 2F4 2B3 2B4",
    "3: 3F0 3B0 3F1 3B1 3F2 3B2 3F3 3B3 3F4 3B4",
  ]);
});

Deno.test("oneForwardOneBackward() with fewer micro-batches than devices", () => {
  assertEquals(lists(oneForwardOneBackward(3, 1)), ["0: 0F0 0B0", "1: 1F0 1B0", "2: 2F0 2B0"]);
});

Deno.test("interleaved() takes rounds of p micro-batches through a device's stages in turn", () => {
  assertEquals(lists(interleaved(2, 4, 2)), [
    "0: 0F0 0F1 2F0 2F1 0F2 2B0 0F3 2B1 2F2 0B0 2F3 0B1 2B2 2B3 0B2 0B3",
    "1: 1F0 1F1 3F0 3B0 3F1 3B1 1F2 1B0 1F3 1B1 3F2 3B2 3F3 3B3 1B2 1B3",
  ]);
});

Deno.test("zeroBubble() delays the weight gradients of device d by d micro-batches", () => {
  assertEquals(lists(zeroBubble(3, 4)), [
    "0: 0F0 0F1 0F2 0I0 0W0 0F3 0I1 0W1 0I2 0W2 0I3 0W3",
    "1: 1F0 1F1 1I0 1F2 1I1 1W0 1F3 1I2 1W1 1I3 1W2 1W3",
    "2: 2F0 2I0 2F1 2I1 2F2 2I2 2W0 2F3 2I3 2W1 2W2 2W3",
  ]);
});

Deno.test("schedules of one device are plain accumulation", () => {
  assertEquals(lists(oneForwardOneBackward(1, 2)), ["0: 0F0 0B0 0F1 0B1"]);
  assertEquals(lists(zeroBubble(1, 2)), ["0: 0F0 0I0 0W0 0F1 0I1 0W1"]);
  assertEquals(lists(interleaved(1, 1, 2)), ["0: 0F0 1F0 1B0 0B0"]);
});

Deno.test("every stage runs backward in the order of micro-batches, in every schedule", () => {
  // Gradients of a stage are then summed in the order of one device, whatever the schedule.
  let numStages = 0;
  for (let p = 1; p <= 8; p++) {
    for (let m = 1; m <= 8; m++) {
      const all = [gpipe(p, m), oneForwardOneBackward(p, m), zeroBubble(p, m)];
      for (let v = 2; v <= 4; v++) if (m % p === 0) all.push(interleaved(p, m, v));
      for (const { devices, v } of all) {
        for (let stage = 0; stage < p * v; stage++) {
          const own = devices[stage % p].filter((x) =>
            x.stage === stage && (x.kind === "B" || x.kind === "W")
          );
          assertEquals(own.map((x) => x.microBatch), Array.from({ length: m }, (_, i) => i));
          numStages++;
        }
      }
    }
  }
  assert(numStages > 1000, `only ${numStages} stages`);
});

Deno.test("makeSchedule() knows every name", () => {
  assertEquals(SCHEDULES.map((name) => makeSchedule(name, { p: 2, m: 4 }).name), [...SCHEDULES]);
  assertEquals(makeSchedule("interleaved", { p: 2, m: 4 }), interleaved(2, 4, 2));
  assertThrows(() => makeSchedule("gpipe", { p: 2, m: 4, v: 2 }), RangeError, "Cannot run gpipe with v = 2");
});

Deno.test("schedules refuse sizes that do not fit, by name", () => {
  assertThrows(() => gpipe(0, 1), RangeError, "Cannot make schedule gpipe with p = 0");
  assertThrows(() => oneForwardOneBackward(2, 1.5), RangeError, "1f1b with m = 1.5");
  assertThrows(
    () => interleaved(4, 6, 2),
    RangeError,
    "6 micro-batches over 4 devices: m must be a multiple of p",
  );
  assertThrows(() => interleaved(4, 4, 1), RangeError, "v is from 2, with 1 use 1f1b");
});

Deno.test("deviceOfStage() and chunkOfStage() deal stages out in turns", () => {
  assertEquals([0, 1, 2, 3, 4, 5].map((stage) => deviceOfStage({ p: 3 }, stage)), [0, 1, 2, 0, 1, 2]);
  assertEquals([0, 1, 2, 3, 4, 5].map((stage) => chunkOfStage({ p: 3 }, stage)), [0, 0, 0, 1, 1, 1]);
});

Deno.test("pictures in the docstrings of schedule.ts are what the code draws", async () => {
  const source = await Deno.readTextFile(
    new URL("../../../strategies/pipeline/schedule.ts", import.meta.url),
  );
  for (const schedule of [gpipe(3, 4), oneForwardOneBackward(3, 4), interleaved(2, 4, 2), zeroBubble(3, 4)]) {
    const rows = drawSchedule(schedule).split("\n").slice(1, -1);
    const quoted = rows.map((row) => ` * ${row}\n`).join("");
    assert(source.includes(quoted), `the docstring of ${schedule.name} should have\n${quoted}`);
  }
});

Deno.test("the picture in the docstring of schedule_picture.ts is what the code draws", async () => {
  const source = await Deno.readTextFile(
    new URL("../../../strategies/pipeline/schedule_picture.ts", import.meta.url),
  );
  const quoted = drawSchedule(oneForwardOneBackward(2, 3)).split("\n").map((row) => ` * ${row}\n`).join("");
  assert(source.includes(quoted), `the docstring should have\n${quoted}`);
});
