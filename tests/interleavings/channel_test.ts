import { assertEquals, assertStringIncludes } from "@std/assert";
import { explore } from "./explorer.ts";
import { MissingNotify, OptimisticLoad, PublishBeforeWrite, WakeBeforePublish } from "./plants.ts";
import { type FakeDevice, payloadSpan, type WorldOptions, worldScenario } from "./support.ts";

const TARGET = payloadSpan(10, 1);

/** Sends 1, 2, ... from two buffers in turn, each written again when its message has been released. */
function sender(messages: number) {
  return ({ endpoint, write }: FakeDevice) => {
    const group = endpoint.group("all");
    const buffers = [payloadSpan(0, 1), payloadSpan(1, 1)];
    const sent = [];
    for (let i = 0; i < messages; i++) {
      if (i >= 2) sent[i - 2].wait();
      write(buffers[i & 1], i + 1);
      sent.push(group.startSend(buffers[i & 1], 1));
    }
    sent[messages - 1].wait();
  };
}

function receiver(messages: number) {
  return ({ endpoint, read }: FakeDevice) => {
    for (let i = 0; i < messages; i++) {
      endpoint.group("all").recv(TARGET, 0);
      assertEquals(read(TARGET), [i + 1]);
    }
  };
}

function run(
  messages: number,
  channelSlots: number,
  { wrapWords, maxPreemptions }: { wrapWords?: WorldOptions["wrapWords"]; maxPreemptions?: number } = {},
) {
  const options = { worldSize: 2, ringSlots: 1, channelSlots, wrapWords };
  return explore({ ...worldScenario(options, [sender(messages), receiver(messages)]), maxPreemptions });
}

for (const [messages, slots] of [[2, 1], [2, 2]]) {
  Deno.test(`a channel of ${slots} slots delivers ${messages} messages in all interleavings`, () => {
    const { failure, schedule } = run(messages, slots);
    assertEquals(failure, undefined, schedule);
  });
}

// Found by the explorer: the sender read HEAD twice in one turn, first "no slot is free", then "all but the last are
// released", did not use the slot that had become free in between, and parked on the newer value, for ever.
for (const slots of [1, 2]) {
  Deno.test(`a channel of ${slots} slots delivers 3 messages, with up to 3 preemptions`, () => {
    const { failure, schedule } = run(3, slots, { maxPreemptions: 3 });
    assertEquals(failure, undefined, schedule);
  });
}

Deno.test("the explorer finds a message that is published before it is written", () => {
  const { failure, schedule } = run(1, 1, { wrapWords: (words) => new PublishBeforeWrite(words) });
  assertStringIncludes(failure!, "data race: agent");
  assertStringIncludes(schedule!, "store TAIL[0->1], 1");
  assertStringIncludes(schedule!, "[publish]");
});

Deno.test("the explorer finds a notify that is missing", () => {
  const { failure, schedule } = run(1, 1, { wrapWords: (words) => new MissingNotify(words) });
  assertStringIncludes(failure!, "parked for ever: agent");
  assertStringIncludes(schedule!, "sleeps");
});

Deno.test("the explorer finds a wake-up that is lost between the look and the park", () => {
  const { failure } = run(1, 1, {
    wrapWords: (words, layout) => new WakeBeforePublish(words, layout.tail(0, 0, 1)),
  });
  assertStringIncludes(failure!, "agent 1 on TAIL[0->1]");
});

Deno.test("the explorer finds a slot that is used again before it is released", () => {
  const { failure } = run(2, 1, {
    wrapWords: (words, layout) => new OptimisticLoad(words, [layout.head(0, 0, 1)]),
  });
  assertStringIncludes(failure!, "data race: agent");
});
