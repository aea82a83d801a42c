import { assertEquals } from "@std/assert";
import { type Machine, mergeRecord, recordName } from "../../bench/record.ts";

const MACHINE: Machine = {
  cpu: "Intel(R) Xeon(R) CPU @ 2.60GHz",
  cores: 2,
  deno: "2.9.6",
  date: "2026-11-25",
};

Deno.test("recordName() has the date, the processor and its cores", () => {
  assertEquals(recordName(MACHINE), "2026-11-25_intel_xeon_cpu_2_60ghz_2_cores.md");
});

Deno.test("mergeRecord() replaces the section with the same title and keeps the others", () => {
  const first = mergeRecord("", ["## A\n\nold", "## B\n\nb"], MACHINE);
  const second = mergeRecord(first, ["## A\n\nnew", "## C\n\nc"], MACHINE);
  assertEquals(second.split("\n")[2], "# Intel(R) Xeon(R) CPU @ 2.60GHz, 2 cores, Deno 2.9.6, 2026-11-25");
  assertEquals(second.split(/^## /m).slice(1).map((part) => part.trim()), ["A\n\nnew", "B\n\nb", "C\n\nc"]);
});
