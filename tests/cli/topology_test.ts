import { assertEquals, assertStringIncludes } from "@std/assert";
import { run } from "./support/run.ts";

Deno.test("topology prints the layout of options as its text, which it reads again", async () => {
  const { text: made } = await run("topology", "--dp", "2", "--zero", "1", "--tp", "2", "--sp");
  const [layout] = made.split("\n");
  assertEquals(layout, "zero1(2, tensor(2, sp))");
  assertEquals((await run("topology", layout)).text, made);
  assertStringIncludes(made, "tp divides every weight matrix, and the rows between them (sp): 0 1 | 2 3");
  const record = JSON.parse((await run("topology", layout, "--json")).text);
  assertEquals([record.layout, record.sp, record.ranks.length], [layout, true, 4]);
});

Deno.test("topology refuses sequence parallelism without a tensor axis", async () => {
  for (const args of [["--sp", "--dp", "2"], ["data(2, sp)"]]) {
    const { code, text } = await run("topology", ...args);
    assertEquals(code, 2);
    assertStringIncludes(text, "sp needs tensor(2) or more to share rows in");
  }
});
