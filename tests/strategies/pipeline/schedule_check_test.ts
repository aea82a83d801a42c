import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  gpipe,
  type Instruction,
  interleaved,
  oneForwardOneBackward,
  type Schedule,
  zeroBubble,
} from "../../../strategies/pipeline/schedule.ts";
import { checkSchedule } from "../../../strategies/pipeline/schedule_check.ts";
import { formatInstruction, parseSchedule } from "../../../strategies/pipeline/schedule_text.ts";

const SIZES = Array.from({ length: 64 }, (_, i) => ({ p: 1 + Math.floor(i / 8), m: 1 + i % 8 }));

function complaints(text: string): string[] {
  return checkSchedule(parseSchedule(text)).problems.map(({ kind, device, index, message }) =>
    `${kind} ${device}.${index} ${message}`
  );
}

function change(schedule: Schedule, device: number, edit: (list: Instruction[]) => void): Schedule {
  const devices = schedule.devices.map((list) => [...list]);
  edit(devices[device]);
  return { ...schedule, devices };
}

Deno.test("gpipe() runs for all p, m <= 8: bubble (p-1)/(m+p-1), m in flight", () => {
  for (const { p, m } of SIZES) {
    const report = checkSchedule(gpipe(p, m));
    assertEquals(report.problems, []);
    assertAlmostEquals(report.bubble, (p - 1) / (m + p - 1), 1e-12);
    assertEquals(report.makespan, 3 * (m + p - 1));
    assertEquals(report.inFlight, Array(p).fill(m));
  }
});

Deno.test("oneForwardOneBackward() runs for all p, m <= 8: bubble (p-1)/(m+p-1), at most p - d in flight", () => {
  for (const { p, m } of SIZES) {
    const report = checkSchedule(oneForwardOneBackward(p, m));
    assertEquals(report.problems, []);
    assertAlmostEquals(report.bubble, (p - 1) / (m + p - 1), 1e-12);
    assertEquals(report.inFlight, Array.from({ length: p }, (_, d) => Math.min(m, p - d)));
  }
});

Deno.test("interleaved() runs for all p, m <= 8 with p | m, v 2..4: bubble (p-1)/(v m+p-1)", () => {
  let numChecked = 0;
  for (const { p, m } of SIZES.filter(({ p, m }) => m % p === 0)) {
    for (let v = 2; v <= 4; v++) {
      const report = checkSchedule(interleaved(p, m, v));
      assertEquals(report.problems, []);
      assertAlmostEquals(report.bubble, (p - 1) / (v * m + p - 1), 1e-12);
      // In units of a stage, v of which are a device: warm-up and one more, never more than there are.
      const warmUp = (d: number) => 2 * (p - 1 - d) + (v - 1) * p + 1;
      assertEquals(report.inFlight, Array.from({ length: p }, (_, d) => Math.min(v * m, warmUp(d))));
      numChecked++;
    }
  }
  assertEquals(numChecked, 60);
});

Deno.test("zeroBubble() runs for all p, m <= 8: less bubble than 1F1B, at most p in flight", () => {
  for (const { p, m } of SIZES) {
    const report = checkSchedule(zeroBubble(p, m));
    assertEquals(report.problems, []);
    assertEquals(report.makespan, Math.max(3 * m + p - 1, 2 * p + 2 * m - 1));
    if (m >= p) assertAlmostEquals(report.bubble, (p - 1) / (3 * m + p - 1), 1e-12);
    if (p > 1) assert(report.bubble < checkSchedule(oneForwardOneBackward(p, m)).bubble);
    assert(Math.max(...report.inFlight) <= Math.min(p, m));
  }
});

Deno.test("two slots per channel are enough for all four schedules to run at full speed", () => {
  for (const { p, m } of SIZES) {
    const all = [gpipe(p, m), oneForwardOneBackward(p, m), zeroBubble(p, m)];
    if (m % p === 0) all.push(interleaved(p, m, 2), interleaved(p, m, 3), interleaved(p, m, 4));
    for (const schedule of all) {
      // One is enough, except for two devices that interleave: both may want to send before they receive.
      const channelSlots = schedule.v > 1 && p === 2 ? 2 : 1;
      const { problems, makespan } = checkSchedule(schedule, { channelSlots });
      assertEquals(problems, [], `${schedule.name} p=${p} m=${m} v=${schedule.v}`);
      assertEquals(makespan, checkSchedule(schedule).makespan);
    }
  }
});

Deno.test("checkSchedule() reports times, channels and recordings per stage", () => {
  const report = checkSchedule(oneForwardOneBackward(2, 2));
  assertEquals(report.timeline[1], [{ start: 1, end: 2 }, { start: 2, end: 4 }, { start: 4, end: 5 }, {
    start: 5,
    end: 7,
  }]);
  assertEquals(report.channels, [
    { from: 0, to: 1, numMessages: 2, peakQueued: 1 },
    { from: 1, to: 0, numMessages: 2, peakQueued: 0 },
  ]);
  assertEquals(report.inFlightOfStage, [2, 1]);
  assertEquals(checkSchedule(interleaved(2, 2, 2)).inFlightOfStage, [2, 2, 2, 1]);
  const slow = checkSchedule(gpipe(2, 2), { duration: ({ stage }) => stage === 1 ? 2 : 1 });
  assertEquals(slow.makespan, 1 + 4 * 2 + 1);
});

Deno.test("checkSchedule() finds a deadlock and the devices in it", () => {
  assertEquals(complaints("0: 0F0 0B0 0F1 0B1\n1: 1F0 1F1 1B0 1B1"), [
    "deadlock 0.1 0B0 waits for gradients of micro-batch 0 for stage 0 of device 1",
    "deadlock 1.1 1F1 waits for activations of micro-batch 1 for stage 1 of device 0",
  ]);
  const ends = checkSchedule(parseSchedule("0: 0F0 0B0 0F1 0B1\n1: 1F0 1F1 1B0 1B1"));
  assertEquals([ends.isComplete, ends.makespan, ends.bubble], [false, NaN, NaN]);
});

Deno.test("checkSchedule() finds a deadlock that too few slots cause", () => {
  const { problems } = checkSchedule(interleaved(2, 4, 2), { channelSlots: 1 });
  assertEquals(problems.map(({ kind, message }) => `${kind}: ${message}`), [
    "deadlock: 0F3 cannot send activations of micro-batch 3 for stage 1: all 1 slots to device 1 are taken",
    "deadlock: 1F2 cannot send activations of micro-batch 2 for stage 2: all 1 slots to device 0 are taken",
  ]);
});

Deno.test("checkSchedule() finds a swapped order at both ends of a channel", () => {
  assertEquals(complaints("0: 0F0 0F1 0B0 0B1\n1: 1F1 1B1 1F0 1B0"), [
    "pairing 0.2 0B0 receives gradients of micro-batch 0 for stage 0 but 1B1 of device 1 sends first",
    "pairing 1.0 1F1 receives activations of micro-batch 1 for stage 1 but 0F0 of device 0 sends first",
  ]);
});

Deno.test("checkSchedule() asks for no order between stages of one device: nothing is sent", () => {
  assertEquals(complaints("schedule x v=2\n0: 0F0 0F1 1F1 1F0 1B0 1B1 0B1 0B0"), []);
});

Deno.test("checkSchedule() finds a missing backward, and the receive that waits for it", () => {
  assertEquals(complaints("0: 0F0 0F1 0B0 0B1\n1: 1F0 1F1 1B0"), [
    "pairing 0.3 0B1 receives gradients of micro-batch 1 for stage 0, which device 1 never sends",
    "missing 1.3 1B1 is missing",
  ]);
});

Deno.test("checkSchedule() finds a send that nobody receives", () => {
  assertEquals(complaints("schedule x m=1\n0: 0F0 0F1 0B0\n1: 1F0 1B0"), [
    "range 0.1 0F1 is of micro-batch 1, micro-batches are 0 to 0",
  ]);
  assertEquals(complaints("0: 0F0 0F1 0B0 0B1\n1: 1F0 1B0 1B1"), [
    "pairing 0.1 0F1 sends activations of micro-batch 1 for stage 1, which device 1 never receives",
    "missing 1.3 1F1 is missing",
  ]);
});

Deno.test("checkSchedule() finds passes out of place, out of order, or run twice", () => {
  assertEquals(
    complaints("0: 0F0 0B0 1F1\n1: 1F0 1B0").at(0),
    "place 0.2 1F1 is on device 0, stage 1 on device 1",
  );
  assertEquals(complaints("0: 0B0 0F0"), ["order 0.0 0B0 runs before 0F0"]);
  assertEquals(complaints("0: 0F0 0W0 0I0"), ["order 0.1 0W0 runs before 0I0"]);
  assertEquals(complaints("0: 0F0 0F0 0B0"), ["twice 0.1 0F0 runs again"]);
  assertEquals(complaints("0: 0F0 0B0 0W0 0I0"), [
    "twice 0.2 0W0 runs beside 0B0: B is I and W in one",
    "twice 0.3 0I0 runs beside 0B0: B is I and W in one",
  ]);
  assertEquals(complaints("0: 0F0 0I0 0W0 0B0"), ["twice 0.3 0B0 runs beside 0I0: B is I and W in one"]);
  assertEquals(complaints("0: 0F0 0I0"), ["missing 0.2 0W0 is missing"]);
  assertEquals(complaints("schedule x v=1\n0: 0F0 0B0 1F0"), [
    "range 0.2 1F0 is of stage 1, stages are 0 to 0",
  ]);
});

Deno.test("checkSchedule() lists few problems of a hopeless file", () => {
  assert(checkSchedule(parseSchedule("0: 0F0 0B123456789")).problems.length < 40);
  const lists = { name: "x", p: 2, m: 1, v: 1, devices: [[]] };
  assertThrows(() => checkSchedule(lists), TypeError, "p = 2 and 1 lists: each device has one");
});

Deno.test("checkSchedule() finds every removal and every repetition of an instruction", () => {
  let numPlanted = 0;
  for (const schedule of [gpipe(3, 3), oneForwardOneBackward(3, 4), zeroBubble(3, 4), interleaved(2, 4, 2)]) {
    for (const [device, list] of schedule.devices.entries()) {
      for (const [index, instruction] of list.entries()) {
        const removed = checkSchedule(change(schedule, device, (x) => x.splice(index, 1)));
        const text = `${formatInstruction(instruction)} is missing`;
        const { kind, stage, microBatch } = instruction;
        const bare = kind === "I" || kind === "W" || removed.problems.some(({ message }) => message === text);
        assert(bare && removed.problems.length > 0, `${schedule.name}: no ${stage}${kind}${microBatch}`);
        const doubled = checkSchedule(change(schedule, device, (x) => x.splice(index, 0, instruction)));
        assert(doubled.problems.some(({ kind, index: at }) => kind === "twice" && at === index + 1));
        numPlanted += 2;
      }
    }
  }
  assertEquals(numPlanted, 2 * (3 * 6 + 3 * 8 + 3 * 12 + 2 * 16));
});

Deno.test("checkSchedule() accepts a swap of neighbours exactly if a run with real queues does", () => {
  const counts = { valid: 0, invalid: 0 };
  for (const schedule of [gpipe(3, 3), oneForwardOneBackward(3, 4), zeroBubble(3, 4), interleaved(2, 4, 2)]) {
    for (const [device, list] of schedule.devices.entries()) {
      for (let index = 0; index + 1 < list.length; index++) {
        const swapped = change(schedule, device, (x) => x.splice(index, 2, x[index + 1], x[index]));
        const isValid = checkSchedule(swapped).problems.length === 0;
        assertEquals(isValid, runWithQueues(swapped), `${schedule.name} device ${device} index ${index}`);
        counts[isValid ? "valid" : "invalid"]++;
      }
    }
  }
  assert(counts.valid > 10 && counts.invalid > 10, JSON.stringify(counts));
});

/** Serial twin of the check: queues of tokens between devices, as an engine would have them. */
function runWithQueues({ p, v, devices }: Schedule): boolean {
  const queues = new Map<string, string[]>(), done = new Set<string>(), places = Array<number>(p).fill(0);
  const queue = (from: number, to: number) => {
    const name = `${from}>${to}`;
    return queues.get(name) ?? queues.set(name, []).get(name)!;
  };
  const last = p * v - 1;
  for (let hasMoved = true; hasMoved;) {
    hasMoved = false;
    for (let device = 0; device < p; device++) {
      const { kind, stage, microBatch } = devices[device][places[device]] ?? {};
      if (kind === undefined || stage === undefined) continue;
      const before = kind === "F" ? stage - 1 : stage + 1, after = kind === "F" ? stage + 1 : stage - 1;
      const payload = kind === "F" ? "F" : "G";
      if (kind !== "W" && before >= 0 && before <= last) {
        const token = queue(before % p, device)[0];
        if (token === undefined) continue;
        if (token !== `${payload}${stage}.${microBatch}`) return false;
        queue(before % p, device).shift();
      }
      const local = kind === "F" ? undefined : `${kind === "W" ? "I" : "F"}${stage}.${microBatch}`;
      if (local !== undefined && !done.has(local)) return false;
      if (kind !== "W" && after >= 0 && after <= last) {
        queue(device, after % p).push(`${payload}${after}.${microBatch}`);
      }
      done.add(`${kind}${stage}.${microBatch}`);
      places[device]++;
      hasMoved = true;
    }
  }
  return devices.every((list, device) => places[device] === list.length);
}
