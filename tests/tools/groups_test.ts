import { assertEquals } from "@std/assert";
import { APART, GROUPS, testsOf } from "../groups/groups.ts";

Deno.test("every folder of tests, and every test beside them, stands in one group or has a task of its own", () => {
  const tests = new URL("../", import.meta.url);
  const hasTests = (folder: string) => testsOf(folder).length > 0;
  const found = [...Deno.readDirSync(tests)].filter(({ name, isDirectory }) =>
    isDirectory ? hasTests(name) : name.endsWith("_test.ts")
  ).map(({ name }) => name);
  assertEquals([...Object.values(GROUPS).flat(), ...APART].sort(), found.sort());
});

Deno.test("task test runs every group", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)));
  const named = `${tasks["test:parts"]} ${tasks["test:worlds"]}`.match(/(?<=tests\/groups\/)\w+(?=\.ts)/g);
  assertEquals(named?.sort(), Object.keys(GROUPS).sort());
});
