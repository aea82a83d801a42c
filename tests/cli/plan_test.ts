import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { run } from "./support/run.ts";

const SIZES = ["--layers", "2", "--embed", "16", "--context", "16", "--batch", "8", "--dp", "2", "--pp", "2"];

Deno.test("plan prints a row per kind of rank, whether it fits, and the bubble; exit code 1 if it does not", async () => {
  const { code, text } = await run("plan", ...SIZES, "--micro-batch", "1");
  assertEquals(code, 0);
  assertStringIncludes(text, "ranks  parameters  gradients  optimizer  activations");
  assertStringIncludes(text, "Fits: rank ");
  assertStringIncludes(text, "Bubble: 20.0 % of a step");
  const small = await run("plan", ...SIZES, "--device-memory", "1MiB");
  assertEquals(small.code, 1);
  assertStringIncludes(small.text, "Does not fit: rank ");
});

Deno.test("plan shows which layers stand where, also when they are measured", async () => {
  const { text } = await run("plan", ...SIZES, "--micro-batch", "1", "--partition", "measured");
  assertMatch(
    text,
    /^Layers of each stage\nstage +stands on +layers +number +parameters +measured\n0 +pp 0 +embedding/,
  );
  const { text: line } = await run("plan", ...SIZES, "--micro-batch", "1", "--partition", "1,3", "--json");
  const { stages } = JSON.parse(line);
  assertEquals(stages.map(({ layers }: { layers: string[] }) => layers), [["embedding"], [
    "h.0",
    "h.1",
    "head",
  ]]);
  const odd = await run("plan", ...SIZES, "--partition", "fair");
  assertEquals(odd.code, 2);
  assertStringIncludes(odd.text, "uniform, parameters, measured, type:REGEX");
});

Deno.test("plan --json is one line that a program can read", async () => {
  const { code, text } = await run("plan", ...SIZES, "--json"), record = JSON.parse(text);
  assertEquals([code, record.ranks.length, record.isFitting, record.deviceMemoryBytes], [
    0,
    4,
    true,
    2 ** 29,
  ]);
  assertEquals(Object.keys(record.ranks[0]), [
    ...["rank", "bytes", "totalBytes", "extentBytes", "traffic", "bytesMoved"],
  ]);
});

Deno.test("plan refuses what train refuses", async () => {
  const { code, text } = await run("plan", "--sp");
  assertEquals(code, 2);
  assertStringIncludes(text, "Cannot use --sp without --tp");
});

Deno.test("train exits with 2 before it starts what does not fit", async () => {
  const { code, text } = await run("train", ...SIZES, "--device-memory", "1MiB");
  assertEquals(code, 2);
  assertStringIncludes(text, "Cannot train with --device-memory 1MiB: rank ");
});
