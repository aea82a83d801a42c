import { assert, assertEquals } from "@std/assert";
import { areSettled, TrialTimes } from "../../kernels/wasm/tile_trial.ts";

/** Milliseconds of a product at a moment of the trial. */
type Speed = (time: number, index: number) => number;

/** Runs a trial on times as they were measured (Zen 5, fast flags); returns which tile it takes, and when. */
function runTrial(narrow: Speed, wide: Speed): { tile: "narrow" | "wide"; time: number } {
  const times = { narrow: new TrialTimes(), wide: new TrialTimes() };
  let time = 0;
  for (let i = 0; time < 500 && !areSettled(times, time); i++) {
    for (const [trial, speed] of [[times.narrow, narrow], [times.wide, wide]] as const) {
      const ms = speed(time, i);
      time += ms;
      trial.add(ms, time);
    }
  }
  return { tile: times.wide.bestMs < times.narrow.bestMs ? "wide" : "narrow", time };
}

/** Baseline code until the compiler is done; the first products find cold caches. */
function tile(baselineMs: number, compiledMs: number, compiledAt: number): Speed {
  return (time, i) =>
    time >= compiledAt ? compiledMs : i === 0 ? 2.9 * baselineMs : i === 1 ? 2.4 * baselineMs : baselineMs;
}

/**
 * In 2 of 300 starts the narrow tile was taken with the flags. The first product was 2.9 times as slow as the others
 * of the baseline compiler, which passed for the gain of the optimising one; the trial then ended when nothing had
 * become faster for
 * 4 ms, with the narrow tile optimised and the wide one, whose code is longer, not yet.
 */
Deno.test("a trial waits for the optimising compiler of both tiles, however slow the first products were", () => {
  for (const wideAt of [6, 20, 80, 300]) {
    const { tile: taken, time } = runTrial(tile(0.08, 0.0159, 5), tile(0.063, 0.0103, wideAt));
    assertEquals(taken, "wide", `optimised after ${wideAt} ms`);
    assert(time < wideAt + 12, `ends soon: after ${time} ms`);
  }
  // Without the flags, where baseline code of the wide tile is the faster one.
  for (const at of [6, 20, 80]) {
    assertEquals(runTrial(tile(0.08, 0.0211, at), tile(0.065, 0.0278, 5)).tile, "narrow");
    assertEquals(runTrial(tile(0.08, 0.0211, at), tile(0.065, 0.0278, at + 7)).tile, "narrow");
  }
});

Deno.test("a trial of code that was optimised before ends soon", () => {
  const { tile: taken, time } = runTrial(() => 0.0159, () => 0.0103);
  assertEquals(taken, "wide");
  assert(time < 102, `after ${time} ms`);
});

Deno.test("a trial does not end while one tile is so much faster that the other must be in baseline code", () => {
  // Every early product was disturbed: its median says nothing.
  const disturbed: Speed = (time, i) => time >= 100 ? 0.0103 : i < 5 ? 0.4 : 0.063;
  assertEquals(runTrial(tile(0.08, 0.0159, 5), disturbed).tile, "wide");
});
