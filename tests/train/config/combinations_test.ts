import { assertThrows } from "@std/assert";
import { checkCombination, type Spread } from "../../../train/config/combinations.ts";
import { UsageError } from "../../../files/mod.ts";

const PLAIN: Spread = {
  ...{ batch: 8, microBatch: 2, dp: 2, pp: 1, ep: 1, cp: 1, tp: 1, sp: false, zero: 0 },
  ...{ schedule: "1f1b", experts: 0, topKExperts: 1, recompute: "none" },
  ...{ numerics: "fast", kernels: "wasm", precision: "f32", context: 64 },
};

const LEGAL: Partial<Spread>[] = [
  {},
  { zero: 3 },
  { pp: 2, schedule: "zero-bubble", zero: 3 },
  { pp: 2, schedule: "zero-bubble", zero: 1, recompute: "full" },
  { pp: 2, schedule: "interleaved" },
  { tp: 2, sp: true },
  { experts: 4, ep: 2, cp: 4 },
];

const ILLEGAL: [Partial<Spread>, string][] = [
  [{ sp: true }, "--sp without --tp"],
  [{ ep: 2 }, "--ep 2 without --experts"],
  [{ experts: 4, topKExperts: 5 }, "--top-k-experts 5"],
  [{ experts: 4, cp: 3 }, "--cp 3 with --experts"],
  [
    { pp: 2, schedule: "zero-bubble", zero: 2, recompute: "full" },
    "--schedule zero-bubble with --zero 2 and --recompute full",
  ],
  [{ batch: 5, dp: 4, microBatch: 1, zero: 2 }, "--zero 2 with --batch 5"],
  [{ pp: 4, microBatch: 4, schedule: "interleaved" }, "--schedule interleaved with 1 micro-batches"],
];

Deno.test("checkCombination() accepts what works together", () => {
  for (const options of LEGAL) checkCombination({ ...PLAIN, ...options });
});

for (const [options, message] of ILLEGAL) {
  Deno.test(`checkCombination() refuses ${message}`, () => {
    assertThrows(() => checkCombination({ ...PLAIN, ...options }), UsageError, `Cannot use ${message}`);
  });
}
