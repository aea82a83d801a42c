import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  gpipe,
  interleaved,
  oneForwardOneBackward,
  zeroBubble,
} from "../../../strategies/pipeline/schedule.ts";
import {
  formatInstruction,
  formatSchedule,
  parseSchedule,
} from "../../../strategies/pipeline/schedule_text.ts";

Deno.test("formatSchedule() writes a header and a line per device", () => {
  assertEquals(
    formatSchedule(zeroBubble(2, 2)),
    "schedule zero-bubble p=2 m=2 v=1\n0: 0F0 0F1 0I0 0W0 0I1 0W1\n1: 1F0 1I0 1F1 1I1 1W0 1W1\n",
  );
  assert(formatSchedule({ ...gpipe(1, 1), name: "my own, #2" }).startsWith("schedule my-own-2 p=1"));
  assertEquals(formatInstruction({ kind: "B", stage: 12, microBatch: 30 }), "12B30");
});

Deno.test("parseSchedule() reads back what formatSchedule() wrote, for all p, m <= 8 and v 2..4", () => {
  let numRead = 0;
  for (let p = 1; p <= 8; p++) {
    for (let m = 1; m <= 8; m++) {
      const all = [gpipe(p, m), oneForwardOneBackward(p, m), zeroBubble(p, m)];
      for (let v = 2; v <= 4; v++) if (m % p === 0) all.push(interleaved(p, m, v));
      for (const schedule of all) {
        assertEquals(parseSchedule(formatSchedule(schedule)), schedule);
        numRead++;
      }
    }
  }
  assertEquals(numRead, 3 * 64 + 3 * 20);
});

Deno.test("parseSchedule() reads comments, empty lines, any spacing, and does without a header", () => {
  const text = "# by hand\n\n 0:  0F0 0F1   0B0 0B1  # first half\r\n1:1F0 1B0 1F1 1B1";
  assertEquals(parseSchedule(text, "mine"), {
    ...parseSchedule("0F0 0F1 0B0 0B1\n1F0 1B0 1F1 1B1"),
    name: "mine",
  });
  const { p, m, v } = parseSchedule(text);
  assertEquals({ p, m, v }, { p: 2, m: 2, v: 1 });
});

Deno.test("parseSchedule() reads the CSV of PyTorch's pipelining, bubbles and all", () => {
  const csv = "0F0,0F1,,0I0,0W0,0I1,0W1\n,1F0,1I0,1F1,1I1,1W0,1W1\n";
  assertEquals(parseSchedule(csv, "zero-bubble"), zeroBubble(2, 2));
});

Deno.test("parseSchedule() names line, device and token", () => {
  const cases: [string, string][] = [
    [
      "0: 0F0 0X1",
      'Cannot read "0X1" in line 1 (device 0) of a schedule: an instruction is STAGE, one of F B I W',
    ],
    ["# x\n0: 0F0\n1: F1", 'Cannot read "F1" in line 3 (device 1)'],
    ["0: 0F0\n2: 1F0", 'Cannot read "2:" in line 2 of a schedule: this is the line of device 1'],
    ["0: 0F0 0SEND_F0", "sends and receives follow from the passes, leave them out"],
    ["schedule x p=two\n0: 0F0", 'Cannot read "p=two" in line 1 of a schedule: a header is'],
    ["0: 0F0\nschedule x", 'Cannot read "schedule" in line 2 of a schedule: one header, before the devices'],
    ["schedule x p=3\n0: 0F0", "p=3 and 1 lines: write one per device"],
    ["# nothing", "Cannot read a schedule without devices"],
  ];
  for (const [text, message] of cases) assertThrows(() => parseSchedule(text), SyntaxError, message);
});
