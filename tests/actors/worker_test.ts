/** Whether workers are really gone: a process with a worker left does not exit. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Act } from "./support/acts.ts";

const OVER_MS = 10_000;

/** Starts a world in a process of its own; everything must be over within the deadline. */
async function runProcess(
  acts: readonly Act[],
  terminate = -1,
  last = "",
): Promise<{ code: number; output: string }> {
  const script = `
    import { start, until } from ${JSON.stringify(import.meta.resolve("./support/world.ts"))};
    const acts = ${JSON.stringify(acts)}, world = start(acts);
    let begin = 0;
    if (${terminate} >= 0) {
      await Promise.all(acts.map((_, rank) => until(world, rank, ({ phase }) => phase === "act")));
      begin = performance.now();
      world.terminate(${terminate});
    }
    console.log("ended with", await world.done.catch((error) => error.message));
    if (begin > 0 && performance.now() - begin > 1000) console.log("too late");
    ${last}`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "--ext=ts", "-"],
    ...{ stdin: "piped", stdout: "piped", stderr: "piped", env: { NO_COLOR: "1" } },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, OVER_MS);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decoder = new TextDecoder(), output = decoder.decode(stdout) + decoder.decode(stderr);
  assert(!isLate, `a worker keeps the process alive: ${output}`);
  assert(!output.includes("too late"), output);
  return { code, output };
}

Deno.test("a process exits by itself when its world has ended, in whatever way", async () => {
  const cases: [Act[], number, string][] = [
    [["rank", "rank"], -1, "ended with [ 0, 10 ]"],
    [
      ["throw", "barrier"],
      -1,
      "ended with Device 0 failed in step 3 (act): TypeError: this shape does not fit",
    ],
    [["barrier", "exit"], -1, "ended with Device 1 failed in step 3 (act): the worker closed itself"],
    [["barrier", "never"], 1, "ended with Device 1 failed in step 3 (act): the worker was terminated"],
  ];
  const ended = await Promise.all(cases.map(([acts, terminate]) => runProcess(acts, terminate)));
  ended.forEach(({ code, output }, i) => {
    assertStringIncludes(output, cases[i][2]);
    assertEquals(code, 0, output);
  });
});

/**
 * Seen with Deno 2.9.6: a worker in `while (true);` survives `terminate()` and keeps its process alive. Nothing here can
 * stop such a thread, so the failure must be reported all the same, must name who does not react, and the process must
 * end by `Deno.exit()`, which the command line calls in any case.
 */
Deno.test("a device that never looks again is reported, and Deno.exit() ends the process", async () => {
  const { code, output } = await runProcess(["spin", "barrier", "spin"], 0, "Deno.exit(7);");
  assertStringIncludes(
    output,
    "ended with Device 0 failed in step 3 (act): the worker was terminated; device 2 has not",
  );
  assertEquals(code, 7);
});
