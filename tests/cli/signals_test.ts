/** Ctrl-C as it reaches a run: from a terminal, and once more from every runner in between. */
import { assertEquals, assertMatch } from "@std/assert";
import { StopRequests } from "../../cli/signals.ts";
import { findModel, readTrainerState } from "../../checkpoint/mod.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { Child } from "./support/child.ts";

/** Steps without an end in sight, of a millisecond. */
const ENDLESS = [
  ...["train", "--json", "--layers", "1", "--embed", "8", "--heads", "2", "--context", "8", "--batch", "2"],
  ...["--dp", "1", "--steps", "1000000", "--warmup", "10", "--eval-every", "0"],
];

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Requests with a clock that stands still, and what came of them. */
function requests(): { stops: StopRequests; told: string[]; at: (ms: number) => void } {
  const told: string[] = [];
  let timeMs = 10_000;
  const stops = new StopRequests((code) => told.push(`end ${code}`), () => timeMs);
  return { stops, told, at: (ms) => timeMs = 10_000 + ms };
}

Deno.test("StopRequests takes what arrives within half a second for one press, and ends at the second press", () => {
  const { stops, told, at } = requests();
  using _handler = stops.handle({ stop: () => told.push("stop"), restore: () => told.push("restore") });
  stops.request("SIGINT");
  at(1.2);
  stops.request("SIGINT");
  at(499);
  stops.request("SIGTERM");
  assertEquals([told, stops.isStopping], [["stop"], true]);
  at(501);
  stops.request("SIGINT");
  assertEquals(told, ["stop", "restore", "end 130"]);
});

Deno.test("StopRequests ends at once when nobody has work to save, but not at the echo of a press that was handled", () => {
  const { stops, told, at } = requests();
  stops.handle({ stop: () => told.push("stop"), restore: () => {} })[Symbol.dispose]();
  stops.request("SIGINT");
  assertEquals(told, ["end 130"]);
  const tiny = requests();
  const handler = tiny.stops.handle({ stop: () => tiny.told.push("stop"), restore: () => {} });
  tiny.stops.request("SIGINT");
  handler[Symbol.dispose]();
  tiny.at(1);
  tiny.stops.request("SIGINT");
  assertEquals(tiny.told, ["stop"]);
  at(1000);
});

Deno.test("StopRequests never takes a closed terminal for a second press", () => {
  const { stops, told, at } = requests();
  using _handler = stops.handle({ stop: () => told.push("stop"), restore: () => told.push("restore") });
  stops.request("SIGHUP");
  at(3000);
  stops.request("closed output");
  at(6000);
  stops.request("SIGHUP");
  assertEquals(told, ["stop"]);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`two ${signal} a millisecond apart save a checkpoint, as one press under deno task`, async () => {
    await withTempDir(async (folder) => {
      const child = new Child([...ENDLESS, "--out", `${folder}/out`]);
      await child.until(/"step":3/);
      child.process.kill(signal);
      await pause(1);
      child.process.kill(signal);
      assertEquals([await child.end(), child.errors], [0, ""]);
      const { step } = await readTrainerState(await findModel(`${folder}/out`));
      assertMatch(child.out, new RegExp(`"done","steps":${step},`));
    });
  });
}

Deno.test("a second press, half a second after the first, ends a run at once", async () => {
  await withTempDir(async (folder) => {
    // A step of this one takes long.
    const slow = [
      "--layers",
      "8",
      "--embed",
      "512",
      "--context",
      "256",
      "--batch",
      "32",
      "--device-memory",
      "4095MiB",
    ];
    const child = new Child(["train", ...slow, "--dp", "1", "--out", `${folder}/out`]);
    await child.until(/training starts|tokens/);
    await pause(1500);
    child.process.kill("SIGINT");
    await pause(600);
    child.process.kill("SIGINT");
    const began = performance.now();
    assertEquals([await child.end(), child.errors], [130, ""]);
    assertEquals(performance.now() - began < 3000, true);
  });
});

Deno.test("Ctrl-C while a run is prepared ends it quietly", async () => {
  await withTempDir(async (folder) => {
    // A pipe that nobody writes: the schedule never comes.
    const schedule = `${folder}/schedule.csv`;
    await new Deno.Command("mkfifo", { args: [schedule] }).output();
    const child = new Child(["train", "--pp", "2", "--schedule", schedule, "--out", `${folder}/out`]);
    await pause(2500);
    child.process.kill("SIGINT");
    assertEquals([await child.end(), child.out, child.errors], [130, "", ""]);
  });
});

Deno.test("a reader that goes away ends a run in good order: it is saved", async () => {
  await withTempDir(async (folder) => {
    const child = new Child([...ENDLESS, "--out", `${folder}/out`]);
    await child.until(/"step":3/);
    child.closeOutput();
    assertEquals([await child.end(), child.errors], [0, ""]);
    assertMatch(await findModel(`${folder}/out`), /step-\d+$/);
  });
});
