import { assertEquals, assertStringIncludes } from "@std/assert";
import { describeWasm } from "../../kernels/mod.ts";
import { giveSpeedHint } from "../../train/speed_hint.ts";

Deno.test("giveSpeedHint() tells a person once, and only what helps", () => {
  const lines: string[] = [], print = (line: string) => void lines.push(line);
  giveSpeedHint(false, print);
  assertEquals(lines, [], "nobody watches");
  giveSpeedHint(true, print);
  giveSpeedHint(true, print);
  const { advice } = describeWasm();
  assertEquals(lines.length, advice === undefined ? 0 : 1);
  if (advice !== undefined) assertStringIncludes(lines[0], "--experimental-wasm-revectorize");
});
