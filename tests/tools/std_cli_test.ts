import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli";

Deno.test("parseArgs() reads strings, booleans, aliases and positional arguments", () => {
  const args = parseArgs(["data.txt", "--lr", "1e-3", "--json", "-o", "run", "--steps=20", "--", "-x"], {
    string: ["_", "lr", "out", "steps"],
    boolean: ["json", "help"],
    alias: { out: "o" },
    "--": true,
  });
  assertEquals<unknown>(args, {
    _: ["data.txt"],
    lr: "1e-3",
    json: true,
    help: false,
    out: "run",
    o: "run",
    steps: "20",
    "--": ["-x"],
  });
});

Deno.test("parseArgs() keeps the last of repeated options and gathers those to collect", () => {
  const args = parseArgs(["--a", "1", "--a", "2", "--b", "x"], {
    string: ["a", "b", "c"],
    collect: ["b", "c"],
  });
  assertEquals<unknown>(args, { _: [], a: "2", b: ["x"], c: [] });
});

Deno.test("parseArgs() reports unknown options and drops them on false", () => {
  const unknown: unknown[] = [];
  const args = parseArgs(["--layer", "4", "--steps", "2", "--no-color", "--x=1", "file"], {
    string: ["steps", "_"],
    unknown: (arg, key) => {
      unknown.push([arg, key]);
      return !arg.startsWith("-");
    },
  });
  assertEquals<unknown>(unknown, [["--layer", "layer"], ["--no-color", "no-color"], ["--x=1", "x"], [
    "file",
    undefined,
  ]]);
  assertEquals<unknown>(args, { _: ["file"], steps: "2" });
});

Deno.test("parseArgs() negates only negatable options", () => {
  assertEquals<unknown>(
    parseArgs(["--no-color", "--no-bell"], { negatable: ["color"], boolean: ["color"] }),
    {
      _: [],
      color: false,
      "no-bell": true,
    },
  );
});

Deno.test("parseArgs() stops at the first argument when asked, and applies defaults", () => {
  assertEquals<unknown>(
    parseArgs(["-v", "train", "--steps", "3"], { boolean: ["v"], stopEarly: true, default: { level: 2 } }),
    { _: ["train", "--steps", "3"], v: true, level: 2 },
  );
});

Deno.test("parseArgs() gives an option without its value an empty string", () => {
  assertEquals(parseArgs(["--lr", "--json"], { string: ["lr"], boolean: ["json"] }).lr, "");
  assertEquals(parseArgs(["--seed=-1"], { string: ["seed"] }).seed, "-1");
});
