import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../cli/arguments.ts";
import { UsageError } from "../../files/mod.ts";

const SPEC = { values: ["prompt", "lr"], flags: ["json"], positionals: ["DIR"] };

Deno.test("parseArguments() reads values that begin with a dash", () => {
  const promptOf = (...args: string[]) => parseArguments(args, SPEC).options.prompt;
  assertEquals(promptOf("--prompt", "-x"), "-x");
  assertEquals(promptOf("--prompt=-x"), "-x");
  assertEquals(promptOf("--prompt", "- a list\n- of things"), "- a list\n- of things");
  assertEquals(promptOf("--prompt", "--", "--json"), "--json");
  assertEquals(promptOf("--prompt=--lr"), "--lr");
  assertEquals(promptOf("--prompt", "-h"), "-h");
  assertEquals(promptOf("--prompt", "a=b --c"), "a=b --c");
  assertEquals(parseArguments(["--lr", "-1", "007", "--json"], SPEC), {
    ...{ options: { lr: "-1", json: true }, positionals: ["007"], isHelp: false },
  });
  assertEquals(parseArguments(["--", "-x"], SPEC).positionals, ["-x"]);
});

Deno.test("parseArguments() refuses in one line what it would have to guess", () => {
  const cases: [string[], string][] = [
    [["--lr", "1", "--lr", "2"], "Cannot use --lr twice: give it one value"],
    [["--lr=1", "--lr", "1"], "Cannot use --lr twice"],
    [["--prompt", "--json"], "Cannot use --prompt without a value"],
    [["--prompt", "--x"], "Cannot use --prompt without a value; if it is --x, write = between them"],
    [["--prompt"], "Cannot use --prompt without a value"],
    [["--prompt="], "Cannot use --prompt without a value"],
    [["--promt", "x"], "Cannot use option --promt: it does not exist; did you mean --prompt?"],
    [["-x"], "Cannot use option -x"],
    [["a", "b"], "Cannot use argument b: only DIR is allowed here"],
  ];
  for (const [args, message] of cases) assertThrows(() => parseArguments(args, SPEC), UsageError, message);
});
