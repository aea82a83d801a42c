/** What a planned group books; that ledgers count the same is shown by tests/train/plan/plan_run_test.ts. */
import { assertEquals } from "@std/assert";
import { PhantomDevice } from "../../actors/mod.ts";
import type { AllReduceOptions, Group, PlannedOperation } from "../../collectives/mod.ts";
import type { Span } from "../../kernels/mod.ts";

type Use = (group: Group, span: (length: number) => Span) => void;

/** Bytes that the ranks of a group book. */
function booked(size: number, use: Use): number[] {
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  return ranks.map((rank) => {
    const device = new PhantomDevice({ worldSize: size, groups: [{ name: "g", ranks }] }, rank);
    use(device.group("g"), (length) => device.heap.allocate("x", length, "activations"));
    return device.operations.reduce((sum: number, { bytes }: PlannedOperation) => sum + bytes, 0);
  });
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

Deno.test("all ranks together book 2 (n-1) times the payload of an all-reduce, n (n-1) times a small one", () => {
  for (const size of [1, 2, 3, 4, 5]) {
    for (const algorithm of ["ordered", "ring"] as const) {
      const options: AllReduceOptions = { algorithm };
      const bytes = booked(size, (group, span) => group.allReduce(span(5000), options));
      assertEquals(sum(bytes), 2 * (size - 1) * 5000 * 4, algorithm);
    }
    assertEquals(booked(size, (group, span) => group.allReduce(span(7))), Array(size).fill((size - 1) * 28));
  }
});

Deno.test("all ranks together book n - 1 times the payload of the other collectives", () => {
  const length = 3000,
    own = ({ size, index }: Group) => {
      const chunk = Math.ceil(length / size);
      return Math.max(0, Math.min(length, chunk * (index + 1)) - Math.min(length, chunk * index));
    };
  const uses: Record<string, Use> = {
    reduceScatter: (group, span) => group.reduceScatter(span(length), span(own(group))),
    allGather: (group, span) => group.allGather(span(own(group)), span(length)),
    allToAll: (group, span) => group.allToAll(span(length), span(length)),
    broadcast: (group, span) => group.broadcast(span(length), 0),
  };
  for (const [name, use] of Object.entries(uses)) {
    for (const size of [2, 3, 4]) assertEquals(sum(booked(size, use)), (size - 1) * length * 4, name);
  }
});

Deno.test("a message is booked by who receives it, a barrier by nobody", () => {
  const bytes = booked(2, (group, span) => {
    group.barrier();
    if (group.index === 0) group.send(span(100), 1);
    else group.recv(span(100), 0);
    assertEquals(group.progress(), false);
  });
  assertEquals(bytes, [0, 400]);
});
