import { assert, assertEquals } from "@std/assert";
import type { StepRecord } from "../../train/step/metrics.ts";
import {
  formatDuration,
  plainLine,
  renderFrame,
  sparkline,
  startView,
  updateView,
  type View,
} from "../../cli/terminal.ts";

const MIB = 2 ** 20;

const FALLING = Array.from({ length: 500 }, (_, i) => -i);

function record(step: number, loss: number): StepRecord {
  const device = (rank: number) => ({
    rank,
    computeMs: 30,
    copyMs: 4,
    waitMs: 6,
    bytesMoved: 1000,
    peakBytes: 128 * MIB,
  });
  return {
    type: "step",
    step,
    loss,
    gradNorm: 0.8437,
    lr: 9.1e-4,
    tokens: 768,
    tokensPerSecond: 19200,
    stepMs: 40,
    devices: [device(0), device(1)],
  };
}

function viewAfter(numSteps: number): View {
  let view = startView({ title: "gpt 4 x 128 on Moby Dick", steps: 2000, deviceMemoryBytes: 512 * MIB });
  for (let step = 0; step < numSteps; step++) view = updateView(view, record(step, 5.5 - step / 200));
  return updateView(view, { type: "eval", step: numSteps, loss: 2.401 });
}

Deno.test("renderFrame() draws progress, loss, speed and devices", () => {
  const full = "\u2588", medium = "\u2592", empty = "\u2591";
  assertEquals(renderFrame(viewAfter(500), 100), [
    "gpt 4 x 128 on Moby Dick",
    `${full.repeat(10)}${empty.repeat(30)}   25 %  step 500/2000  1:00 left`,
    `loss 3.005  validation 2.401  ${sparkline(FALLING, 60)}`,
    "19.2k tokens/s  40 ms a step  lr 9.1e-4  gradient norm 0.84",
    `device 0  ${full.repeat(14)}${medium.repeat(2)}${empty.repeat(3)}  compute  75 %  wait  15 %  ` +
    `memory 128 of 512 MiB  ${full.repeat(5)}${empty.repeat(14)}`,
    `device 1  ${full.repeat(14)}${medium.repeat(2)}${empty.repeat(3)}  compute  75 %  wait  15 %  ` +
    `memory 128 of 512 MiB  ${full.repeat(5)}${empty.repeat(14)}`,
    "Ctrl-C saves a checkpoint and stops",
  ]);
});

Deno.test("renderFrame() keeps every line within any width", () => {
  for (const view of [viewAfter(0), viewAfter(1), viewAfter(300)]) {
    for (let width = 0; width <= 140; width++) {
      for (const line of renderFrame(view, width)) {
        assert([...line].length <= width, `width ${width}: ${line}`);
      }
    }
  }
});

Deno.test("renderFrame() drops what is less important on a narrow terminal", () => {
  const lines = renderFrame(viewAfter(500), 24);
  assertEquals(lines.slice(1, 4), [
    " 25 %  step 500/2000",
    "loss 3.005  " + sparkline(FALLING, 12),
    "19.2k tokens/s",
  ]);
  assertEquals(lines[4], "device 0  compute  75 %");
});

Deno.test("renderFrame() works before the first step, and with a loss that is not finite", () => {
  const empty = renderFrame(startView({ title: "t", steps: 10, deviceMemoryBytes: MIB }), 60);
  assertEquals(empty[2], "waiting for the first step");
  const broken = updateView(startView({ title: "t", steps: 10, deviceMemoryBytes: MIB }), record(0, NaN));
  assertEquals(renderFrame(broken, 60)[2], "loss NaN");
});

Deno.test("updateView() keeps the curve of any number of losses in bounded space", () => {
  const start = { title: "t", steps: 10_000, deviceMemoryBytes: MIB };
  const view = startView(start, Array.from({ length: 5003 }, (_, i) => i));
  const { means, stepsPerMean, rest, last } = view.losses;
  assert(means.length < 256 && means.length >= 128, `${means.length} means`);
  assertEquals(means.length * stepsPerMean + rest.length, 5003);
  assertEquals([means[0], means[1] - means[0]], [(stepsPerMean - 1) / 2, stepsPerMean]);
  assertEquals([view.step, last], [5003, 5002]);
});

Deno.test("sparkline() scales means of equal parts", () => {
  assertEquals(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8), "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588");
  assertEquals(sparkline([8, 8, 1, 1], 2), "\u2588\u2581");
  assertEquals(sparkline([3, 3], 5), "\u2581\u2581");
  assertEquals(sparkline([NaN, Infinity], 5), "");
  assertEquals(sparkline([1, 2], 0), "");
});

Deno.test("plainLine() prints the first and last step and about forty in all", () => {
  let view = startView({ title: "t", steps: 2000, deviceMemoryBytes: MIB });
  const lines: string[] = [];
  for (let step = 0; step < 2000; step++) {
    view = updateView(view, record(step, 2));
    const line = plainLine(view, record(step, 2));
    if (line !== undefined) lines.push(line);
  }
  assertEquals(lines.length, 41);
  assertEquals(
    lines[0],
    "step 1/2000  loss 2.0000  gradient norm 0.844  lr 9.10e-4  19.2k tokens/s  1:20 left",
  );
  assertEquals(
    plainLine(view, { type: "eval", step: 9, loss: 1.5 }),
    "after 9 steps: validation loss 1.5000",
  );
  assertEquals(
    plainLine(view, { type: "done", steps: 9, tokensPerSecond: 1234.5, lossHash: "ab" }),
    "done: 9 steps, 1235 tokens/s, loss hash ab",
  );
});

Deno.test("formatDuration() writes hours only when there are some", () => {
  assertEquals([0, 6700, 725_000, 3_723_000].map(formatDuration), ["0:00", "0:07", "12:05", "1:02:03"]);
});
