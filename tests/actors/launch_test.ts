import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { launch } from "../../actors/mod.ts";
import { failureOf, start, until, within } from "./support/world.ts";

const TOPOLOGY = { worldSize: 2, groups: [{ name: "all", ranks: [0, 1] }] };

Deno.test("launch() gives the results of the program by rank", async () => {
  const world = start(["rank", "rank", "rank", "rank"]);
  assertEquals(await within(world.done, world), [0, 10, 20, 30]);
});

Deno.test("launch() hands the configuration to every rank, shared memory as shared memory", async () => {
  const shared = new Float32Array(new SharedArrayBuffer(8)), value = { a: [1, undefined, NaN], shared };
  const world = start(["echo", "echo"], { value });
  const [first, second] = await within(world.done, world) as typeof value[];
  assertEquals(first.a, [1, undefined, NaN]);
  shared[1] = 5;
  assertEquals([first.shared[1], second.shared[1]], [5, 5]);
});

Deno.test("launch() delivers the reports of a rank in order, and holds it back while they are not taken", async () => {
  const taken: unknown[] = [];
  const gate = Promise.withResolvers<void>();
  const world = start(["report", "rank"], {
    onReport: (rank, value) => {
      taken.push([rank, value]);
      return taken.length === 2 ? gate.promise : undefined;
    },
  });
  await until(world, 1, ({ state }) => state === "finished");
  while (taken.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(taken.length, 2);
  gate.resolve();
  assertEquals(await within(world.done, world), [undefined, 10]);
  assertEquals(taken, [0, 1, 2, 3, 4].map((i) => [0, `0: ${i}`]));
});

Deno.test("launch() fails when a report is not taken, and says so", async () => {
  const world = start(["barrier", "reportOnce"], {
    onReport: () => {
      throw new RangeError("the disk is full");
    },
  });
  const { error, ms } = await failureOf(world, until(world, 1, ({ phase }) => phase === "act"));
  assertStringIncludes(error.message, "Device 1 failed in step 3 (act): ");
  assertStringIncludes(error.message, "the launcher did not take a report: the disk is full");
  assert(ms < 1000, `took ${ms} ms`);
});

Deno.test("launch() reports a program that is not there", async () => {
  const program = import.meta.resolve("./support/no_such_program.ts");
  const { error } = await failureOf(start(["rank", "rank"], { program }));
  assertStringIncludes(error.message, `failed: TypeError: Module not found "${program}"`);
});

Deno.test("launch() reports a module without a program", async () => {
  const { error } = await failureOf(
    start(["rank", "rank"], { program: import.meta.resolve("./support/world.ts") }),
  );
  assertStringIncludes(error.message, "support/world.ts: its default export must be a function");
});

Deno.test("launch() reports a configuration that cannot be sent", async () => {
  const { error } = await failureOf(start(["rank", "rank"], { config: { acts: [], callback: () => {} } }));
  assertStringIncludes(error.message, "Device 0 failed: DataCloneError");
});

Deno.test("launch() reports a device whose memory is too small for the buffers of its groups", async () => {
  const { error } = await failureOf(start(["rank", "rank"], { deviceMemoryBytes: 1 << 16 }));
  assertStringIncludes(error.message, "OutOfDeviceMemoryError: Cannot allocate");
});

Deno.test("launch() refuses a topology that is none, and starts nothing", () => {
  const options = { program: import.meta.resolve("./support/acts.ts"), deviceMemoryBytes: 1 << 20 };
  assertThrows(
    () => launch({ ...options, topology: { worldSize: 0, groups: [] } }),
    RangeError,
    "at least 1",
  );
  assertThrows(
    () => launch({ ...options, topology: { ...TOPOLOGY, groups: [{ name: "dp", ranks: [0, 2] }] } }),
    RangeError,
    "Cannot put rank 2 in group dp: the world has ranks 0..1",
  );
});

Deno.test("launch() runs more devices than there are cores", async () => {
  const acts = Array.from({ length: 2 * navigator.hardwareConcurrency + 1 }, () => "barrier" as const);
  const world = start(acts);
  assertEquals((await within(world.done, world)).length, acts.length);
});
