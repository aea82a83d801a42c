/**
 * What every kind of group promises: one suite over a group in shared memory and one on paper. What they refuse is in
 * collectives/group_checks.ts.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { PhantomDevice } from "../../actors/mod.ts";
import { chunkOf, type Group, type Pending } from "../../collectives/mod.ts";
import { checkMember } from "../../collectives/group_checks.ts";
import type { DeviceHeap, DType, Span } from "../../kernels/mod.ts";
import { createMembers } from "./support/one_thread.ts";

/** A member of a group, seen as what it costs. */
interface Seat {
  readonly group: Group;
  readonly heap: DeviceHeap;
  /** Bytes moved so far: measured, or booked. */
  readonly bytesMoved: () => number;
}

/** All members of a group of a kind. */
const KINDS: Record<string, (size: number) => Seat[]> = {
  ProcessGroup: (size) =>
    createMembers(size).members.map(({ group, heap, endpoint }) => ({
      ...{ group, heap },
      bytesMoved: () => endpoint.ledger.bytesMoved,
    })),
  PlannedGroup: (size) => {
    const ranks = Array.from({ length: size }, (_, rank) => rank);
    return ranks.map((rank) => {
      const device = new PhantomDevice({ worldSize: size, groups: [{ name: "all", ranks }] }, rank);
      const { heap, operations } = device;
      const bytesMoved = () => operations.reduce((sum, { bytes }) => sum + bytes, 0);
      return { group: device.group("all"), heap, bytesMoved };
    });
  },
};

const allocate = ({ heap }: Seat, length: number, dtype: DType = "f32") =>
  heap.allocate("test", length, "workspace", dtype);

/** Length of a member's chunk. */
const own = ({ group: { size, index } }: Seat, length: number, row?: number) =>
  chunkOf(length, size, index, row).length;

type Start = (seat: Seat, length: number) => Pending;

/** Every operation that members start together. */
const OPERATIONS: Record<string, Start> = {
  "allReduce, auto": (seat, length) => seat.group.startAllReduce(allocate(seat, length)),
  "allReduce, ordered": (seat, length) =>
    seat.group.startAllReduce(allocate(seat, length), { algorithm: "ordered" }),
  "allReduce, ring": (seat, length) =>
    seat.group.startAllReduce(allocate(seat, length), { algorithm: "ring" }),
  "allReduce of bf16": (seat, length) => seat.group.startAllReduce(allocate(seat, length, "bf16")),
  "maximum": (seat, length) => seat.group.startAllReduce(allocate(seat, length), { reduction: "max" }),
  reduceScatter: (seat, length) =>
    seat.group.startReduceScatter(allocate(seat, length), allocate(seat, own(seat, length))),
  "reduceScatter of rows": (seat, length) => {
    const output = allocate(seat, own(seat, 5 * length, 5));
    return seat.group.startReduceScatter(allocate(seat, 5 * length), output, { row: 5 });
  },
  allGather: (seat, length) =>
    seat.group.startAllGather(allocate(seat, own(seat, length)), allocate(seat, length)),
  "allGather of rows": (seat, length) => {
    const input = allocate(seat, own(seat, 3 * length, 3));
    return seat.group.startAllGather(input, allocate(seat, 3 * length), { row: 3 });
  },
  broadcast: (seat, length) => seat.group.startBroadcast(allocate(seat, length), seat.group.size - 1),
  allToAll: (seat, length) =>
    seat.group.startAllToAll(allocate(seat, length), allocate(seat, seat.group.size * own(seat, length))),
  barrier: ({ group }) => group.startBarrier(),
  "send and recv": (seat, length) => {
    const { group } = seat, { size, index } = group, span = allocate(seat, length);
    const sent = group.startSend(span, (index + 1) % size);
    const received = group.startRecv(allocate(seat, length), (index + size - 1) % size);
    return { poll: () => [sent, received].every((pending) => pending.poll()) } as Pending;
  },
};

/** What the members of a kind of group move and hold after each operation has been run. */
function costs(make: (size: number) => Seat[], size: number, length: number): [string, number[], number[]][] {
  const seats = make(size);
  return Object.entries(OPERATIONS).map(([name, start]) => {
    const before = seats.map(({ bytesMoved }) => bytesMoved());
    const pending = seats.map((seat) => start(seat, length));
    for (let turn = 0; !pending.map((p) => p.poll()).every(Boolean); turn++) {
      assertEquals(turn < 100, true, `${name} is not complete after ${turn} turns`);
    }
    assertEquals(seats.map(({ group }) => group.progress()), seats.map(() => false), name);
    const moved = seats.map(({ bytesMoved }, i) => bytesMoved() - before[i]);
    return [name, moved, seats.map(({ heap }) => heap.usedBytes().buffers)];
  });
}

for (const [kind, make] of Object.entries(KINDS)) {
  Deno.test(`${kind} says who its members are`, () => {
    for (const size of [1, 3]) {
      make(size).forEach(({ group }, index) => {
        const ranks = Array.from({ length: size }, (_, rank) => rank);
        assertEquals([group.name, group.size, group.index, group.ranks], ["all", size, index, ranks]);
        assertEquals(group.algorithm, "auto");
      });
    }
  });

  Deno.test(`${kind} completes every operation when all members have started it`, () => {
    for (const size of [1, 2, 3, 4]) costs(make, size, 40);
  });

  Deno.test(`${kind} of one returns from every blocking form, and moves nothing`, () => {
    const [seat] = make(1), { group } = seat, span = allocate(seat, 6), other = allocate(seat, 6);
    group.allReduce(span);
    group.reduceScatter(span, other);
    group.allGather(other, span);
    group.broadcast(span, 0);
    group.allToAll(span, other);
    group.barrier();
    assertEquals([group.progress(), seat.bytesMoved()], [false, 0]);
  });

  Deno.test(`${kind} refuses wrong lengths, members, types and sizes by name, and announces nothing`, () => {
    const [seat] = make(2), { group } = seat, span = allocate(seat, 3);
    const long: Span = { ...span, length: 4000 }, ids = allocate(seat, 3, "i32");
    const refusals: [call: () => unknown, error: typeof RangeError | typeof TypeError, message: string][] = [
      [
        () => group.startReduceScatter(span, span),
        RangeError,
        "Cannot reduceScatter with a span of 3 elements",
      ],
      [() => group.reduceScatter(span, span), RangeError, "member 0 of 2 needs 2"],
      [() => group.startAllGather(span, span), RangeError, "Cannot allGather with a span of 3 elements"],
      [() => group.allGather(span, span, { row: 2 }), RangeError, "Cannot split 3 elements into rows of 2"],
      [() => group.startAllToAll(span, span), RangeError, "Cannot allToAll with a span of 3 elements"],
      [() => group.allToAll(span, span), RangeError, "member 0 of 2 needs 4"],
      [() => group.startBroadcast(span, 2), RangeError, "Cannot broadcast from member 2 of group all"],
      [() => group.broadcast(span, -1), RangeError, "it has members 0..1"],
      [() => group.startSend(span, 2), RangeError, "Cannot send to member 2 of group all"],
      [() => group.send(span, 0.5), RangeError, "Cannot send to member 0.5"],
      [() => group.startRecv(span, -1), RangeError, "Cannot recv from member -1 of group all"],
      [() => group.recv(span, NaN), RangeError, "Cannot recv from member NaN"],
      [() => group.allReduce(long, { algorithm: "eager" }), RangeError, "at most 8192 are allowed"],
      [() => group.startAllReduce(ids, { reduction: "max" }), TypeError, "Cannot reduce by max of i32"],
    ];
    for (const [call, error, message] of refusals) assertThrows(call, error, message);
    assertEquals([group.progress(), seat.bytesMoved()], [false, 0]);
  });

  Deno.test(`${kind} runs all-reduces by its algorithm where none is asked for`, () => {
    const moved = (algorithm: Group["algorithm"]) => {
      const seats = make(3),
        pending = seats.map((seat) => {
          seat.group.algorithm = algorithm;
          return seat.group.startAllReduce(allocate(seat, 8));
        });
      while (!pending.map((p) => p.poll()).every(Boolean)) { /* in turn */ }
      return seats.map(({ bytesMoved }) => bytesMoved());
    };
    // Eight elements are one line: of `ordered` its owner moves all, of `eager` everybody reads everything.
    assertEquals([moved("auto"), moved("tree"), moved("ordered")], [[64, 64, 64], [64, 64, 64], [128, 0, 0]]);
  });
}

Deno.test("a planned group moves and holds, operation by operation, what one in shared memory does", () => {
  for (const size of [1, 2, 3, 4]) {
    for (const length of [1, 40, 3001, 20_000]) {
      assertEquals(costs(KINDS.PlannedGroup, size, length), costs(KINDS.ProcessGroup, size, length));
    }
  }
});

Deno.test("checkMember() takes every member, and this rank too", () => {
  for (const size of [1, 4]) {
    for (const { group } of KINDS.PlannedGroup(size)) {
      for (let index = 0; index < size; index++) checkMember(group, "send to", index);
      assertThrows(() => checkMember(group, "send to", size), RangeError, `it has members 0..${size - 1}`);
    }
  }
});
