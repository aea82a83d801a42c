import { assert, assertEquals } from "@std/assert";
import {
  type Instruction,
  interleaved,
  oneForwardOneBackward,
  zeroBubble,
} from "../../../strategies/pipeline/schedule.ts";
import {
  findPairingFaults,
  receiveOf,
  sendOf,
  transferKey,
} from "../../../strategies/pipeline/schedule_channels.ts";
import { parseSchedule } from "../../../strategies/pipeline/schedule_text.ts";

function instruction(text: string): Instruction {
  return parseSchedule(text).devices[0][0];
}

Deno.test("sendOf() and receiveOf() hand activations on and gradients back, wrapping around", () => {
  const shape = { p: 2, v: 2 };
  assertEquals(receiveOf(shape, instruction("0F3")), undefined);
  assertEquals(sendOf(shape, instruction("0F3")), {
    from: 0,
    to: 1,
    payload: "activations",
    stage: 1,
    microBatch: 3,
  });
  assertEquals(sendOf(shape, instruction("1F3")), {
    from: 1,
    to: 0,
    payload: "activations",
    stage: 2,
    microBatch: 3,
  });
  assertEquals(sendOf(shape, instruction("3F3")), undefined);
  assertEquals(receiveOf(shape, instruction("3B3")), undefined);
  assertEquals(sendOf(shape, instruction("2I3")), {
    from: 0,
    to: 1,
    payload: "gradients",
    stage: 1,
    microBatch: 3,
  });
  assertEquals(sendOf(shape, instruction("0B3")), undefined);
  assertEquals([sendOf(shape, instruction("1W3")), receiveOf(shape, instruction("1W3"))], [
    undefined,
    undefined,
  ]);
});

Deno.test("every send of a schedule has a receive with the same key", () => {
  let numPairs = 0;
  for (
    const schedule of [
      oneForwardOneBackward(4, 8),
      zeroBubble(4, 8),
      interleaved(4, 8, 3),
      interleaved(2, 8, 4),
    ]
  ) {
    const all = schedule.devices.flat();
    const sends = all.map((x) => sendOf(schedule, x)).filter((x) => x !== undefined).map(transferKey).sort();
    const receives = all.map((x) => receiveOf(schedule, x)).filter((x) => x !== undefined).map(transferKey)
      .sort();
    assertEquals(sends, receives);
    // Each micro-batch crosses each border of two stages twice.
    assertEquals(sends.length, 2 * schedule.m * (schedule.p * schedule.v - 1));
    assertEquals(findPairingFaults(schedule), []);
    numPairs += sends.length;
  }
  assert(numPairs > 300, `${numPairs}`);
});

Deno.test("findPairingFaults() names the first message out of order on a channel", () => {
  const schedule = parseSchedule("0: 0F0 0F1 0F2 0B0 0B1 0B2\n1: 1F0 1F2 1F1 1B0 1B1 1B2");
  assertEquals(findPairingFaults(schedule), [{
    device: 1,
    index: 1,
    message: "1F2 receives activations of micro-batch 2 for stage 1 but 0F1 of device 0 sends first",
  }]);
});

Deno.test("findPairingFaults() orders activations and gradients together where they share a channel", () => {
  // With two devices, stage 2 sends gradients to device 1 over the channel that stage 0 sends activations over.
  const wrong = parseSchedule("0: 0F0 2F0 2B0 0F1 0B0 2F1 2B1 0B1\n1: 1F0 3F0 3B0 1F1 1B0 3F1 3B1 1B1");
  assertEquals(findPairingFaults(wrong).map(({ device, message }) => `${device}: ${message}`), [
    "1: 1F1 receives activations of micro-batch 1 for stage 1 but 2B0 of device 0 sends first",
    "0: 0B0 receives gradients of micro-batch 0 for stage 0 but 1F1 of device 1 sends first",
  ]);
});
