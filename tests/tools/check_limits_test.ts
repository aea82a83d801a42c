import { assertEquals } from "@std/assert";
import { checkLimits, findFunctions } from "../../tools/check_limits.ts";

const NONE = { files: {}, functions: {} };

function longFunction(header: string, numLines: number): string {
  return `${header}\n${"  work();\n".repeat(numLines - 2)}}\n`;
}

Deno.test("checkLimits() finds files and functions that are too long", () => {
  const long = { path: "nn/long.ts", text: "let a;\n".repeat(301) };
  assertEquals(checkLimits([long], NONE).map((f) => f.what), ["has 301 lines, allowed are 300"]);
  const text = longFunction("export function work(a: number): void {", 51);
  const [finding] = checkLimits([{ path: "nn/work.ts", text }], NONE);
  assertEquals(finding.what, "function work has 51 lines, allowed are 50");
  assertEquals(checkLimits([{ path: "nn/work.ts", text: longFunction("function work() {", 50) }], NONE), []);
});

Deno.test("checkLimits() accepts exceptions with a reason and finds stale ones", () => {
  const text = longFunction("function work() {", 60);
  const files = [{ path: "nn/work.ts", text }];
  const allowed = { files: {}, functions: { "nn/work.ts#work": { lines: 60, reason: "a table" } } };
  assertEquals(checkLimits(files, allowed), []);
  const stale = { files: { "nn/gone.ts": { lines: 400, reason: "x" } }, functions: {} };
  assertEquals(checkLimits([], stale).map((f) => f.what), ["nn/gone.ts does not exist"]);
  const silent = { files: {}, functions: { "nn/work.ts#work": { lines: 60, reason: "" } } };
  assertEquals(checkLimits(files, silent).map((f) => f.what), ["nn/work.ts#work has no reason"]);
});

Deno.test("findFunctions() sees functions, methods and arrows, and no control flow", () => {
  const text = `
export async function first(
  a: number,
): Promise<void> {
  if (a) {
    a++;
  } else {
    a--;
  }
}
class C {
  static override async run<T>(x: T): Promise<{ y: T }> {
    for (;;) {
      break;
    }
  }
  #hidden() {
    // }
  }
  readonly field = (x: number) => {
    return x;
  };
}
const arrow = (a: number): void => {
  call(() => {
    a++;
  });
};
`;
  assertEquals(findFunctions(text).map((f) => `${f.name} ${f.numLines}`), [
    "first 9",
    "run 5",
    "#hidden 3",
    "field 3",
    "arrow 5",
    "call 3",
  ]);
});
