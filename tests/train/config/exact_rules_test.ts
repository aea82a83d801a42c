import { assertEquals, assertThrows } from "@std/assert";
import { makeSchedule, SCHEDULES } from "../../../strategies/mod.ts";
import {
  checkExact,
  checkExactSchedule,
  exactMicroBatches,
  type ExactSpread,
} from "../../../train/config/exact_rules.ts";
import { UsageError } from "../../../files/mod.ts";

const PLAIN: ExactSpread = {
  ...{
    numerics: "exact",
    kernels: "wasm",
    precision: "f32",
    context: 64,
    dp: 2,
    pp: 2,
    ep: 1,
    cp: 2,
    tp: 2,
    sp: true,
  },
  ...{ schedule: "1f1b", recompute: "full" },
};

const ILLEGAL: [Partial<ExactSpread>, string][] = [
  [{ kernels: "reference" }, "--kernels reference"],
  [{ precision: "bf16" }, "--precision bf16"],
  [{ dp: 3 }, "--dp 3"],
  [{ tp: 8 }, "--tp 8"],
  [{ cp: 8 }, "--cp 8"],
  [{ context: 20 }, "--context 20"],
  [{ cp: 4, tp: 4 }, "--sp, --cp 4 and --tp 4"],
  [{ ep: 2 }, "--cp 2 and --ep 2"],
  [{ schedule: "zero-bubble" }, "--schedule zero-bubble and --recompute full"],
];

Deno.test("checkExact() accepts what has a fixed order of its sums, and everything in fast numerics", () => {
  checkExact(PLAIN);
  for (const [options] of ILLEGAL) checkExact({ ...PLAIN, ...options, numerics: "fast" });
});

for (const [options, message] of ILLEGAL) {
  Deno.test(`checkExact() refuses ${message}`, () => {
    assertThrows(() => checkExact({ ...PLAIN, ...options }), UsageError, message);
  });
}

Deno.test("checkExactSchedule() accepts the schedules that have names", () => {
  for (const name of SCHEDULES) {
    for (const p of [2, 4]) {
      checkExactSchedule(makeSchedule(name, { p, m: 8, v: name === "interleaved" ? 2 : undefined }));
    }
  }
});

Deno.test("checkExactSchedule() names the stage that completes gradients out of order", () => {
  const schedule = makeSchedule("gpipe", { p: 1, m: 2 }), [own] = schedule.devices;
  const devices = [
    own.map((pass) => pass.kind === "B" ? { ...pass, microBatch: 1 - pass.microBatch } : pass),
  ];
  assertThrows(
    () => checkExactSchedule({ ...schedule, devices }),
    UsageError,
    "stage 0 completes the gradients of micro-batch 1",
  );
});

Deno.test("exactMicroBatches() is the next power of two", () => {
  assertEquals([1, 2, 3, 12].map(exactMicroBatches), [1, 2, 4, 16]);
});
