import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AbortWord } from "../../collectives/mod.ts";
import { type Outcome, type RunOptions, TestWorld } from "./support/world.ts";

type Call = [string, number] | null;

async function timed(world: TestWorld, program: string, options: RunOptions) {
  const start = performance.now();
  const outcomes = await world.run<void>(program, options);
  return { outcomes, ms: performance.now() - start };
}

function errorOf(outcome: Outcome<unknown>): { name: string; message: string } {
  assert(outcome.error !== undefined, "the rank should have failed");
  return outcome.error;
}

Deno.test("collectives report mismatches, stalls and failures instead of hanging", async (t) => {
  using world = new TestWorld(3);
  await world.run("calls", { config: [null, null, null] });
  await mismatches(t, world);
  await stalls(t, world);
  await timeouts(t, world);
  await failures(t, world);
});

async function mismatches(t: Deno.TestContext, world: TestWorld): Promise<void> {
  const cases: [string, Call[], string[]][] = [
    ["another operation", [["allReduce", 8], ["barrier", 0]], [
      "operation #1 of group all",
      "rank 0 called allReduce by eager of 8 elements of 4 bytes (sum f32) for tensor 0",
      "rank 1 called barrier for tensor 1",
    ]],
    ["another length", [["allReduce", 8], ["allReduce", 9]], ["of 8 elements", "of 9 elements"]],
    ["another reduction", [["allReduce", 8], ["max", 8]], ["sum f32", "max f32"]],
    ["another algorithm", [["allReduce", 8], ["ring", 8]], ["by eager", "by ring"]],
    ["another root", [["broadcast0", 8], ["broadcast1", 8]], ["from rank 0", "from rank 1"]],
    ["other rows", [["rows1", 8], ["rows4", 8]], ["of 8 elements of 4 bytes for tensor 0", "in rows of 4"]],
    ["one of three", [["allReduce", 8], ["allReduce", 8], ["allReduce", 7]], [
      "of 8 elements",
      "of 7 elements",
    ]],
  ];
  for (const [name, config, texts] of cases) {
    await t.step(`mismatch: ${name}`, async () => {
      const { outcomes, ms } = await timed(world, "calls", { worldSize: config.length, config });
      for (const outcome of outcomes) {
        assertEquals(errorOf(outcome).name, "MismatchError");
        for (const text of texts) assertStringIncludes(errorOf(outcome).message, text);
      }
      assert(ms < 1000, `took ${ms} ms`);
    });
  }

  await t.step("mismatch: a message of another size", async () => {
    const { outcomes } = await timed(world, "calls", { worldSize: 2, config: [["send1", 8], ["recv0", 9]] });
    assertEquals(errorOf(outcomes[1]).name, "MismatchError");
    assertStringIncludes(
      errorOf(outcomes[1]).message,
      "recv of 36 bytes (tensor 1), but rank 0 called send of 32 bytes",
    );
    assertEquals(errorOf(outcomes[0]).name, "AbortError");
  });
}

async function stalls(t: Deno.TestContext, world: TestWorld): Promise<void> {
  await t.step("stall: a peer has finished", async () => {
    const { outcomes, ms } = await timed(world, "calls", { worldSize: 2, config: [["allReduce", 8], null] });
    assertEquals(outcomes[1].error, undefined);
    assertEquals(errorOf(outcomes[0]).name, "StallError");
    assertStringIncludes(
      errorOf(outcomes[0]).message,
      "rank 0 waits for rank 1 in allReduce #1 of group all (tensor 0), but rank 1 has finished",
    );
    assert(ms < 1000, `took ${ms} ms`);
  });

  await t.step("stall: two ranks wait for each other in two groups", async () => {
    const groups = [{ name: "a", ranks: [0, 1] }, { name: "b", ranks: [0, 1] }];
    const { outcomes, ms } = await timed(world, "crossed", { worldSize: 2, groups });
    const errors = outcomes.map(errorOf);
    assert(errors.some(({ name }) => name === "StallError"));
    for (const { message } of errors) {
      assertStringIncludes(message, "rank 0 waits for rank 1 in allReduce #1 of group a (in a)");
      assertStringIncludes(message, "rank 1 waits for rank 0 in allReduce #1 of group b (in b)");
    }
    assert(ms < 1000, `took ${ms} ms`);
  });

  await t.step("stall: two ranks receive from each other", async () => {
    const { outcomes, ms } = await timed(world, "calls", {
      worldSize: 2,
      config: [["recv1", 8], ["recv0", 8]],
    });
    for (const outcome of outcomes) assertStringIncludes(errorOf(outcome).message, "in recv #1 of group all");
    assert(ms < 1000, `took ${ms} ms`);
  });

  await t.step("stall: a cycle of three ranks", async () => {
    const config = [["recv1", 8], ["recv2", 8], ["recv0", 8]];
    const { outcomes, ms } = await timed(world, "calls", { config });
    for (const outcome of outcomes) {
      for (const text of ["rank 0 waits for rank 1", "rank 1 waits for rank 2", "rank 2 waits for rank 0"]) {
        assertStringIncludes(errorOf(outcome).message, text);
      }
    }
    assert(ms < 1000, `took ${ms} ms`);
  });
}

async function timeouts(t: Deno.TestContext, world: TestWorld): Promise<void> {
  await t.step("a slow peer is waited for", async () => {
    const { outcomes } = await timed(world, "calls", {
      worldSize: 2,
      config: [["barrier", 0], ["sleep", 500]],
    });
    assertEquals(outcomes.map(({ error }) => error), [undefined, undefined]);
  });

  await t.step("stall: a peer computes longer than the timeout", async () => {
    const { outcomes } = await timed(world, "calls", {
      worldSize: 2,
      config: [["barrier", 0], ["sleep", 800]],
      wait: { stallTimeoutMs: 300 },
    });
    assertEquals(errorOf(outcomes[0]).name, "StallError");
    assertStringIncludes(
      errorOf(outcomes[0]).message,
      "rank 1 is running (step 0); it has started no operation",
    );
    assertStringIncludes(errorOf(outcomes[1]).message, "Rank 0 failed first");
  });

  await t.step("stall: a peer never starts", async () => {
    const { outcomes } = await timed(world, "calls", {
      worldSize: 2,
      absent: [1],
      config: [["barrier", 0], null],
      wait: { startTimeoutMs: 300 },
    });
    assertStringIncludes(errorOf(outcomes[0]).message, "rank 1 is starting");
  });
}

async function failures(t: Deno.TestContext, world: TestWorld): Promise<void> {
  for (const algorithm of ["eager", "ordered", "ring"]) {
    for (const failing of [0, 1, 2]) {
      await t.step(`rank ${failing} throws while others run ${algorithm} all-reduces`, async () => {
        const config = { length: 1000, algorithm, failing, after: 20 + failing };
        const { outcomes, ms } = await timed(world, "loop", { config });
        outcomes.forEach((outcome, rank) => {
          assertEquals(errorOf(outcome).name, rank === failing ? "TypeError" : "AbortError");
          assertStringIncludes(errorOf(outcome).message, "out of luck");
          if (rank !== failing) {
            assertStringIncludes(errorOf(outcome).message, `Rank ${failing} failed first`);
          }
        });
        assert(ms < 1000, `took ${ms} ms`);
      });
    }
  }

  await t.step("the supervisor speaks for a rank that was terminated", async () => {
    const outcomes = world.run<void>("loop", {
      config: { length: 1000, algorithm: "ordered", failing: -1, after: 0 },
      absent: [2],
      onStart: (control) => {
        setTimeout(() => new AbortWord(control).raiseFor(2, "the worker was terminated"), 50);
      },
    });
    for (const outcome of await outcomes) {
      assertEquals(errorOf(outcome).name, "AbortError");
      assertStringIncludes(errorOf(outcome).message, "Rank 2 failed first: the worker was terminated");
    }
  });

  await t.step("the ledgers say who waited for whom, and how much was moved", async () => {
    const outcomes = await world.run<{ waitMs: number; waitMsByPeer: number[]; bytesMoved: number }>(
      "ledger",
      {
        worldSize: 2,
      },
    );
    const [early, late] = outcomes.map(({ value }) => value!);
    assert(early.waitMsByPeer[1] > 40 && early.waitMs < 90, JSON.stringify(early));
    assert(late.waitMs < 20, JSON.stringify(late));
    assertEquals(early.bytesMoved + late.bytesMoved, 2 * 4 * 100_000);
  });
}
