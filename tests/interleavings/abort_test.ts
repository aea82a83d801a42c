import { assertEquals, assertStringIncludes } from "@std/assert";
import { AbortError } from "../../collectives/mod.ts";
import { explore, type Scenario } from "./explorer.ts";
import { BlindLoad } from "./plants.ts";
import { type FakeDevice, type WorldOptions, worldScenario } from "./support.ts";

const waits = ({ endpoint }: FakeDevice) => endpoint.group("all").barrier();
const fails = ({ endpoint, rank }: FakeDevice) => void endpoint.abort.raise(rank, `reason ${rank}`);

function scenario(
  programs: ((device: FakeDevice) => void)[],
  wrapWords?: WorldOptions["wrapWords"],
): Scenario {
  const options = { worldSize: programs.length, ringSlots: 1, exploresAbort: true, wrapWords };
  return {
    ...worldScenario(options, programs),
    timeouts: true,
    isExpectedError: (agent, error) =>
      programs[agent] === waits && error instanceof AbortError && error.reason === `reason ${error.rank}`,
  };
}

Deno.test("a wait ends with the first cause in all interleavings", () => {
  const result = explore({
    ...scenario([waits, fails]),
    check: (_, errors) => errors[0] instanceof AbortError ? undefined : "rank 0 did not notice",
  });
  assertEquals(result.failure, undefined, result.schedule);
});

Deno.test("two ranks that fail agree on the first cause, and the third sees its text", () => {
  const result = explore({ ...scenario([fails, fails, waits]), maxPreemptions: 3 });
  assertEquals(result.failure, undefined, result.schedule);
});

Deno.test("the explorer finds a wait that does not read ABORT", () => {
  const { failure } = explore(
    scenario([waits, fails], (words, layout) => new BlindLoad(words, layout.abort)),
  );
  assertStringIncludes(failure!, "parked for ever: agent 0 on ANNOUNCED[1]");
});
