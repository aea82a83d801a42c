import { assert, assertEquals } from "@std/assert";
import {
  gpipe,
  interleaved,
  oneForwardOneBackward,
  zeroBubble,
} from "../../../strategies/pipeline/schedule.ts";
import { drawSchedule } from "../../../strategies/pipeline/schedule_picture.ts";
import { parseSchedule } from "../../../strategies/pipeline/schedule_text.ts";

/** Text laid out as in this file: without its first line, and without the indentation of the second. */
function picture(text: string): string {
  const lines = text.split("\n").slice(1, -1);
  const indent = /^ */.exec(lines[0])![0].length;
  return lines.map((line) => line.slice(indent)).join("\n");
}

function drawText(text: string): string {
  return drawSchedule(parseSchedule(text, "mine"));
}

Deno.test("drawSchedule() draws 1F1B", () => {
  assertEquals(
    drawSchedule(oneForwardOneBackward(2, 3)),
    picture(`
      1f1b p=2 m=3 v=1
       0 | F0 F1 .  .  B0--- F2 B1--- .  B2---
       1 | .  F0 B0--- F1 B1--- F2 B2--- .  .
      bubble 25.0 %, 12 units of time, in flight 2 1
    `),
  );
});

Deno.test("drawSchedule() draws split backward passes", () => {
  assertEquals(
    drawSchedule(zeroBubble(2, 3)),
    picture(`
      zero-bubble p=2 m=3 v=1
       0 | F0 F1 .  I0 W0 F2 I1 W1 I2 W2
       1 | .  F0 I0 F1 I1 W0 F2 I2 W1 W2
      bubble 10.0 %, 10 units of time, in flight 2 2
    `),
  );
});

Deno.test("drawSchedule() draws stages by number when a device has several", () => {
  assertEquals(
    drawSchedule(interleaved(2, 2, 2)),
    picture(`
      interleaved p=2 m=2 v=2
       0 | 0F0 0F1 2F0 2F1 .   .   2B0---- .   2B1---- 0B0---- 0B1----
       1 | .   1F0 1F1 3F0 3B0---- 3F1 3B1---- 1B0---- 1B1---- .   .
      bubble 20.0 %, 15 units of time, in flight 4 3
    `),
  );
});

Deno.test("drawSchedule() goes on in a second band when the width is short", () => {
  assertEquals(
    drawSchedule(gpipe(2, 2), { width: 20 }),
    picture(`
      gpipe p=2 m=2 v=1
      from 0
       0 | F0 F1 .  .  .
       1 | .  F0 F1 B0---
      from 5
       0 | B0--- B1---
       1 | B1--- .  .
      bubble 33.3 %, 9 units of time, in flight 2 2
    `),
  );
  for (const width of [12, 20, 40, 80]) {
    for (const line of drawSchedule(gpipe(4, 6), { width }).split("\n").slice(1, -1)) {
      assert(line.length <= width);
    }
  }
});

Deno.test("drawSchedule() marks a swapped order", () => {
  assertEquals(
    drawText("0: 0F0 0F1 0B0 0B1\n1: 1F1 1B1 1F0 1B0"),
    picture(`
      mine p=2 m=2 v=1
       0 | 0F0 0F1 .   .   .   .   .   .   0B0---- 0B1----
                                           ^1
       1 | .   .   1F1 1B1---- 1F0 1B0---- .   .   .   .
                   ^2
      ^1 pairing, device 0: 0B0 receives gradients of micro-batch 0 for stage 0 but 1B1 of device 1 sends first
      ^2 pairing, device 1: 1F1 receives activations of micro-batch 1 for stage 1 but 0F0 of device 0 sends first
      cannot run: 2 problems
    `),
  );
});

Deno.test("drawSchedule() marks a deadlock", () => {
  assertEquals(
    drawText("0: 0F0 0B0 0F1 0B1\n1: 1F0 1F1 1B0 1B1"),
    picture(`
      mine p=2 m=2 v=1
       0 | 0F0 0B0 0F1 0B1
               ^1
       1 | 1F0 1F1 1B0 1B1
               ^2
      ^1 deadlock, device 0: 0B0 waits for gradients of micro-batch 0 for stage 0 of device 1
      ^2 deadlock, device 1: 1F1 waits for activations of micro-batch 1 for stage 1 of device 0
      cannot run: 2 problems; drawn in order, without bubbles
    `),
  );
});

Deno.test("drawSchedule() marks where something is missing", () => {
  assertEquals(
    drawText("0: 0F0 0F1 0B0 0B1\n1: 1F0 1B0 1F1"),
    picture(`
      mine p=2 m=2 v=1
       0 | 0F0 0F1 0B0 0B1
                       ^1
       1 | 1F0 1B0 1F1 ?
                       ^2
      ^1 pairing, device 0: 0B1 receives gradients of micro-batch 1 for stage 0, which device 1 never sends
      ^2 missing, device 1: 1B1 is missing
      cannot run: 2 problems; drawn in order, without bubbles
    `),
  );
});

Deno.test("drawSchedule() counts the reasons that it leaves out", () => {
  const lines = drawText("schedule x m=9\n0: 0F0 0B0").split("\n");
  assertEquals(lines.slice(-2), ["... and 8 more", "cannot run: 16 problems"]);
});

Deno.test("docs/schedules.md shows what the code draws", async () => {
  const page = await Deno.readTextFile(new URL("../../../docs/schedules.md", import.meta.url));
  const drawn = [
    drawSchedule(gpipe(4, 4)),
    drawSchedule(oneForwardOneBackward(4, 8)),
    drawSchedule(interleaved(4, 4, 2)),
    drawSchedule(zeroBubble(4, 8)),
    drawText("0: 0F0 0B0 0F1 0B1\n1: 1F0 1F1 1B0 1B1"),
  ];
  for (const grid of drawn) {
    assert(page.includes(`\`\`\`text\n${grid}\n\`\`\``), `docs/schedules.md lacks\n${grid}`);
  }
  const numGrids = page.match(/ p=\d+ m=\d+ v=\d+\n(?:from 0\n)? 0 \|/g)?.length;
  assertEquals(numGrids, drawn.length, "the page has a grid that nobody draws");
});
