import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { StallError } from "../../collectives/mod.ts";
import { WaitGraph } from "../../collectives/control/wait_graph.ts";
import { describeOperation } from "../../collectives/control/descriptor.ts";
import {
  describeStatus,
  describeWorld,
  emptyWaitPoint,
  readStatus,
} from "../../collectives/control/status.ts";
import { createMembers, runTogether, spanOf } from "./support/one_thread.ts";

Deno.test("workAllGather() gathers into the own chunk's buffer without a copy of it", () => {
  const { members } = createMembers(3);
  const outputs = members.map((member, i) => spanOf(member, [0, 0, 0, 0, 0].fill(i + 1, 2 * i, 2 * i + 2)));
  runTogether(members, ({ group }, i) => {
    const own = { ...outputs[i], byteOffset: outputs[i].byteOffset + 8 * i, length: i === 2 ? 1 : 2 };
    return group.startAllGather(own, outputs[i]);
  });
  members.forEach(({ heap }, i) => assertEquals([...heap.f32(outputs[i])], [1, 1, 2, 2, 3]));
});

Deno.test("workReduceScatter() sums into the own chunk of the input", () => {
  const { members } = createMembers(2);
  const inputs = members.map((member, i) => spanOf(member, [1 + i, 10 + i, 100 + i]));
  const outputs = inputs.map((input, i) => ({
    ...input,
    byteOffset: input.byteOffset + 8 * i,
    length: 2 - i,
  }));
  runTogether(members, ({ group }, i) => group.startReduceScatter(inputs[i], outputs[i]));
  assertEquals(members.map(({ heap }, i) => [...heap.f32(outputs[i])]), [[3, 21], [201]]);
});

Deno.test("workAllToAll() and workBroadcast() need no wait when everybody has announced", () => {
  const { members } = createMembers(2);
  const inputs = members.map((member, i) => spanOf(member, [10 * i, 10 * i + 1]));
  const outputs = members.map((member) => spanOf(member, [0, 0]));
  runTogether(members, ({ group }, i) => group.startAllToAll(inputs[i], outputs[i]));
  assertEquals(members.map(({ heap }, i) => [...heap.f32(outputs[i])]), [[0, 10], [1, 11]]);
  runTogether(members, ({ group }, i) => group.startBroadcast(outputs[i], 1));
  assertEquals(members.map(({ heap }, i) => [...heap.f32(outputs[i])]), [[1, 11], [1, 11]]);
});

Deno.test("workBarrier() completes when the last member has announced it", () => {
  const { members } = createMembers(2);
  const first = members[0].group.startBarrier();
  assertEquals(first.poll(), false);
  const second = members[1].group.startBarrier();
  assertEquals([second.poll(), first.poll()], [true, true]);
});

Deno.test("Pending stays complete when its operation's slot is used again", () => {
  const { members } = createMembers(2);
  const old = members[0].group.startBarrier();
  runTogether(members.slice(1), ({ group }) => group.startBarrier());
  for (let i = 0; i < 20; i++) runTogether(members, ({ group }) => group.startBarrier());
  const next = members[0].group.startBarrier();
  assertEquals([old.poll(), next.poll()], [true, false]);
});

Deno.test("GroupQueue takes 16 operations ahead and waits with the 17th", () => {
  const { members } = createMembers(2);
  const { group } = members[0];
  for (let i = 0; i < 16; i++) group.startBarrier({ label: `barrier ${i}` });
  assertThrows(() => group.startBarrier(), StallError, "rank 0 waits for rank 1 in barrier #1 of group all");
});

Deno.test("ChannelSender and ChannelReceiver take more messages than there are slots", () => {
  const { members } = createMembers(2);
  const sent = Array.from({ length: 10 }, (_, i) => members[0].group.startSend(spanOf(members[0], [i]), 1));
  const targets = sent.map(() => spanOf(members[1], [-1]));
  const received = targets.map((target) => members[1].group.startRecv(target, 0));
  while (members.map(({ endpoint }) => endpoint.progress()).some(Boolean)) { /* in turn */ }
  assertEquals([...sent, ...received].every((pending) => pending.poll()), true);
  assertEquals(targets.map((target) => members[1].heap.f32(target)[0]), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("Endpoint says which groups its rank is in when it is asked for another", () => {
  const { members: [{ endpoint }] } = createMembers(2);
  assertThrows(() => endpoint.group("dp"), RangeError, "Cannot find group dp: rank 0 is in all");
});

Deno.test("describeOperation() says what a member has announced", () => {
  const { members, control } = createMembers(2);
  members[1].group.startAllReduce(spanOf(members[1], Array(1000).fill(0)), {
    label: "h.0.attn",
    algorithm: "ring",
  });
  assertEquals(
    describeOperation(control, { group: 0, index: 1, sequence: 1 }),
    "allReduce by ring of 1000 elements of 4 bytes (sum f32) for h.0.attn",
  );
});

Deno.test("RankStatus is what others read of a rank", () => {
  const { members: [{ endpoint: { status } }, other], control } = createMembers(2);
  status.setPlace(7, "forward");
  assertEquals(describeStatus(readStatus(control, 0)), "rank 0 is running (step 7, forward)");
  const at = {
    ...emptyWaitPoint(),
    peer: 1,
    operation: 6,
    sequence: 3,
    target: 3,
    label: status.label("loss"),
  };
  status.publishWait(at);
  assertEquals(readStatus(control, 0).wait?.label, "loss");
  assertEquals(
    describeWorld(control),
    "rank 0 waits for rank 1 in barrier #3 of group all (loss)\nrank 1 is running (step 0)",
  );
  status.clearWait();
  other.endpoint.status.setState("finished");
  assertStringIncludes(describeWorld(control), "rank 0 is running (step 7, forward)\nrank 1 is finished");
});

Deno.test("WaitGraph reports a cycle only when everybody in it has looked twice and nothing moved", () => {
  const { members: [a, b], control } = createMembers(2);
  const { layout, words } = control;
  const waitOf = (peer: number) => ({
    ...emptyWaitPoint(),
    ...{ peer, operation: 1, sequence: 1, target: 1, word: layout.announced(0, peer) },
  });
  const graph = new WaitGraph(control, 0);
  assertEquals(graph.look(waitOf(1)), undefined, "rank 1 computes");
  a.endpoint.status.publishWait(waitOf(1));
  b.endpoint.status.publishWait(waitOf(0));
  assertEquals(
    [graph.look(waitOf(1)), graph.look(waitOf(1))],
    [undefined, undefined],
    "rank 1 has not looked again",
  );
  b.endpoint.status.beat();
  b.endpoint.status.beat();
  assertStringIncludes(
    graph.look(waitOf(1))!,
    "rank 0 waits for rank 1 in allReduce #1 of group all, but rank 1 waits",
  );
  words.store(layout.announced(0, 0), 1);
  assertEquals(graph.look(waitOf(1)), undefined, "rank 1 can go on");
});
