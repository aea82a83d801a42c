import { assertEquals, assertStringIncludes } from "@std/assert";
import { explore } from "./explorer.ts";
import { MissingNotify, OptimisticLoad } from "./plants.ts";
import { type FakeDevice, payloadSpan, type WorldOptions, worldScenario } from "./support.ts";

const OWN = payloadSpan(0, 1);

/** What a rank writes before a barrier is there for its peers after it. */
function exchange({ endpoint, rank, write, readPeer }: FakeDevice): void {
  const group = endpoint.group("all");
  write(OWN, rank + 1);
  group.barrier();
  for (const peer of group.ranks) assertEquals(readPeer(peer, OWN), [peer + 1]);
}

/** Writes again after a second barrier: nobody may still be reading. */
function exchangeTwice(device: FakeDevice): void {
  exchange(device);
  device.endpoint.group("all").barrier();
  device.write(OWN, 7);
}

function run(worldSize: number, program: (device: FakeDevice) => void, options: Partial<WorldOptions> = {}) {
  const scenario = worldScenario({ worldSize, ringSlots: 2, ...options }, Array(worldSize).fill(program));
  return explore({ ...scenario, maxPreemptions: worldSize > 2 ? 2 : undefined });
}

Deno.test("a barrier orders what two ranks do before and after it, in all interleavings", () => {
  assertEquals(run(2, exchange, { ringSlots: 1 }).failure, undefined);
  const result = run(2, exchangeTwice);
  assertEquals(result.failure, undefined, result.schedule);
});

Deno.test("a barrier of three ranks, with at most two preemptions", () => {
  const result = run(3, exchange);
  assertEquals(result.failure, undefined, result.schedule);
});

Deno.test("the explorer finds a barrier that does not wait for everybody", () => {
  const { failure } = run(2, exchange, {
    wrapWords: (words, layout) => new OptimisticLoad(words, [layout.announced(0, 1)]),
  });
  assertStringIncludes(failure!, "data race: agent 0 reads");
});

Deno.test("the explorer finds a barrier that does not wake", () => {
  const { failure } = run(2, exchange, { wrapWords: (words) => new MissingNotify(words) });
  assertStringIncludes(failure!, "parked for ever");
});
