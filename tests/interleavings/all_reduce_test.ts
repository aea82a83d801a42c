import { assertEquals, assertStringIncludes } from "@std/assert";
import type { AllReduceOptions } from "../../collectives/mod.ts";
import { explore } from "./explorer.ts";
import { MissingNotify, OptimisticLoad, PublishBeforeWrite } from "./plants.ts";
import { type FakeDevice, payloadSpan, type WorldOptions, worldScenario } from "./support.ts";

interface Plan extends Partial<WorldOptions> {
  worldSize: number;
  algorithm: AllReduceOptions["algorithm"];
  cells: number;
  /** All-reduces of the same span, one after the other. */
  rounds: number;
  maxPreemptions?: number;
}

/** Every rank contributes `rank + 1` to each element, then the sum itself, and so on. */
function program({ worldSize, algorithm, cells, rounds }: Plan) {
  return ({ endpoint, rank, write, read }: FakeDevice) => {
    const span = payloadSpan(0, cells);
    const sum = worldSize * (worldSize + 1) / 2;
    for (let round = 0; round < rounds; round++) {
      write(span, ...Array(cells).fill((rank + 1) * 10 ** round));
      endpoint.group("all").allReduce(span, { algorithm });
      assertEquals(read(span), Array(cells).fill(sum * 10 ** round));
    }
  };
}

function run(plan: Plan) {
  const scenario = worldScenario({ ringSlots: 1, ...plan }, Array(plan.worldSize).fill(program(plan)));
  return explore({ ...scenario, maxPreemptions: plan.maxPreemptions });
}

const PLANS: Plan[] = [
  { worldSize: 2, algorithm: "eager", cells: 1, rounds: 1 },
  { worldSize: 2, algorithm: "eager", cells: 1, rounds: 2, ringSlots: 2 },
  { worldSize: 2, algorithm: "ordered", cells: 2, rounds: 1 },
  { worldSize: 2, algorithm: "ring", cells: 2, rounds: 1 },
  { worldSize: 2, algorithm: "eager", cells: 1, rounds: 3, maxPreemptions: 2 },
  { worldSize: 2, algorithm: "ordered", cells: 2, rounds: 2, maxPreemptions: 2 },
  { worldSize: 2, algorithm: "ring", cells: 2, rounds: 2, maxPreemptions: 2 },
  { worldSize: 3, algorithm: "eager", cells: 1, rounds: 1, maxPreemptions: 1 },
  { worldSize: 3, algorithm: "ordered", cells: 3, rounds: 1, maxPreemptions: 1 },
  { worldSize: 3, algorithm: "ring", cells: 3, rounds: 1, maxPreemptions: 0 },
];

for (const plan of PLANS) {
  const { worldSize, algorithm, rounds, maxPreemptions } = plan;
  const schedules = maxPreemptions === undefined
    ? "all interleavings"
    : `up to ${maxPreemptions} preemptions`;
  Deno.test(`${rounds} ${algorithm} all-reduce of ${worldSize} ranks in ${schedules}`, () => {
    const { failure, schedule } = run(plan);
    assertEquals(failure, undefined, schedule);
  });
}

Deno.test("the explorer finds an eager slot that is used again before its readers are done", () => {
  const { failure } = run({
    ...{ worldSize: 2, algorithm: "eager", cells: 1, rounds: 2 },
    wrapWords: (words, layout) => new OptimisticLoad(words, [layout.done(0, 0), layout.done(0, 1)]),
  });
  assertStringIncludes(failure!, "data race");
});

Deno.test("the explorer finds an ordered all-reduce that returns before its peers have pushed", () => {
  const { failure } = run({
    ...{ worldSize: 2, algorithm: "ordered", cells: 2, rounds: 1, ringSlots: 2 },
    wrapWords: (words, layout) => new OptimisticLoad(words, [layout.done(0, 1)]),
  });
  assertStringIncludes(failure!, "agent 0 failed: AssertionError"); // the chunk of rank 1 is missing
});

Deno.test("the explorer finds a ring step that does not wait for the left neighbour", () => {
  const { failure } = run({
    ...{ worldSize: 2, algorithm: "ring", cells: 2, rounds: 1, ringSlots: 2 },
    wrapWords: (words, layout) => new OptimisticLoad(words, [layout.step(0, 1)]),
  });
  assertStringIncludes(failure!, "data race");
});

Deno.test("the explorer finds a descriptor that is published before it is written", () => {
  const { failure } = run({
    ...{ worldSize: 2, algorithm: "eager", cells: 1, rounds: 1 },
    wrapWords: (words) => new PublishBeforeWrite(words),
  });
  assertStringIncludes(failure!, "data race");
});

Deno.test("the explorer finds a ring that does not wake", () => {
  const { failure } = run({
    ...{ worldSize: 2, algorithm: "ring", cells: 2, rounds: 1 },
    wrapWords: (words) => new MissingNotify(words),
  });
  assertStringIncludes(failure!, "parked for ever");
});
