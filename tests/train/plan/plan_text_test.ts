import { assertEquals } from "@std/assert";
import { emptyTable } from "../../../kernels/mod.ts";
import { formatPlan, formatRanks, formatStages, type RankPlan } from "../../../train/mod.ts";

function rankPlan(rank: number, parameters: number, moved: number): RankPlan {
  const traffic = moved === 0
    ? []
    : [{ group: "data", operation: "allReduce", calls: 2, bytes: moved } as const];
  const bytes = { ...emptyTable(), parameters, activations: 1024 };
  const totalBytes = parameters + 1024;
  return { rank, bytes, totalBytes, extentBytes: totalBytes + 2048, traffic, bytesMoved: moved };
}

Deno.test("ranks that print alike are one row, and a plan says whether the largest of them fits", () => {
  const ranks = [rankPlan(0, 2048, 100), rankPlan(1, 2049, 100), rankPlan(2, 4096, 0)];
  const plan = { ranks, stages: [{ pp: 0, layers: ["a"], parameters: 512 }], bubble: 0.2 };
  assertEquals(
    formatPlan(plan, 1 << 20),
    `Bytes held
ranks  parameters  gradients  optimizer  activations  buffers  workspace    total
0-1       2.0 KiB        0 B        0 B      1.0 KiB      0 B        0 B  3.0 KiB
2         4.0 KiB        0 B        0 B      1.0 KiB      0 B        0 B  5.0 KiB

Fits: rank 2 needs 7.0 KiB of 1.0 MiB device memory

Bytes moved in a step
ranks  data allReduce  total
0-1             100 B  100 B
2                 0 B    0 B

Bubble: 20.0 % of a step`,
  );
  const verdict = formatPlan(plan, 4096).split("\n")[5];
  assertEquals(verdict, "Does not fit: rank 2 needs 7.0 KiB, device memory is 4.0 KiB");
});

Deno.test("ranks are shown as runs", () => {
  assertEquals(formatRanks([0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
});

Deno.test("the layers of several stages are a table, and one line, with their part of the time if it was measured", () => {
  const stages = [
    { pp: 0, layers: ["embedding", "h.0", "h.1"], parameters: 500, measuredMs: 3 },
    { pp: 1, layers: ["head"], parameters: 20, measuredMs: 1 },
  ];
  const [title, ...rows] = formatPlan({ ranks: [rankPlan(0, 0, 0)], stages, bubble: 0 }, 1).split("\n");
  assertEquals([title, ...rows.slice(0, 3)], [
    "Layers of each stage",
    "stage  stands on            layers  number  parameters  measured",
    "0           pp 0  embedding .. h.1       3         500   3.00 ms",
    "1           pp 1              head       1          20   1.00 ms",
  ]);
  assertEquals(formatStages(stages), "embedding .. h.1 (75 % of the time) | head (25 % of the time)");
  const unmeasured = stages.map(({ measuredMs: _, ...stage }) => stage);
  assertEquals(formatStages(unmeasured), "embedding .. h.1 | head");
});
