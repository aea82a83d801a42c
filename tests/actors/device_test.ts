/** What a program sees of its device; here without a worker, in the thread of the test. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Device, type DeviceOrder, type Fault, FAULT_KINDS } from "../../actors/mod.ts";
import { AbortError, ControlBlock, readStatus } from "../../collectives/mod.ts";
import { createDeviceMemory, OutOfDeviceMemoryError } from "../../kernels/mod.ts";

const CAP = 1 << 20;

function makeWorld(fault?: Fault) {
  const topology = { worldSize: 2, groups: [{ name: "dp", ranks: [0, 1] }, { name: "first", ranks: [0] }] };
  const control = ControlBlock.initialize(topology), block = ControlBlock.attach(control, topology);
  const memories = [createDeviceMemory(CAP), createDeviceMemory(CAP)];
  const reports: unknown[] = [], closed: number[] = [];
  const devices = [0, 1].map((rank) => {
    const order: DeviceOrder = {
      ...{ rank, topology, control, memories, deviceMemoryBytes: CAP, program: "", config: undefined },
      ...{ wait: {}, fault },
    };
    const report = (value: unknown) => Promise.resolve(void reports.push(value));
    return new Device(order, report, { close: () => closed.push(rank) });
  });
  return { devices, status: (rank: number) => readStatus(block, rank), block, reports, closed };
}

Deno.test("Device knows its rank, its world and its groups", () => {
  const { devices: [first, second] } = makeWorld();
  assertEquals([first.rank, second.rank, second.worldSize], [0, 1, 2]);
  assertEquals([second.group("dp").size, second.group("dp").index], [2, 1]);
  assertEquals(first.group("first").size, 1);
  assertThrows(() => second.group("first"), RangeError, "first");
});

Deno.test("Device memories are apart", () => {
  const { devices: [first, second] } = makeWorld();
  const a = first.heap.allocate("a", 4, "activations"), b = second.heap.allocate("b", 4, "activations");
  first.heap.f32(a).fill(1);
  second.heap.f32(b).fill(2);
  assertEquals([...first.heap.f32(a)], [1, 1, 1, 1]);
});

Deno.test("Device enter() publishes step and phase", () => {
  const { devices: [, device], status } = makeWorld();
  assertEquals(status(1).state, "running");
  device.enter(5, "backward");
  assertEquals([status(1).step, status(1).phase, status(0).phase], [5, "backward", ""]);
  device.finish();
  assertEquals([status(1).state, status(0).state], ["finished", "running"]);
});

Deno.test("Device enter() throws when another rank has failed", () => {
  const { devices: [first, second], status } = makeWorld();
  first.fail("the disk is full");
  assertEquals(status(0).state, "failed");
  const error = assertThrows(() => second.enter(1, "forward"), AbortError);
  assertEquals([error.rank, error.reason], [0, "the disk is full"]);
});

Deno.test("Device isStopRequested follows the request of the launcher", () => {
  const { devices, block } = makeWorld();
  assertEquals(devices.map((device) => device.isStopRequested), [false, false]);
  block.requestStop();
  assertEquals(devices.map((device) => device.isStopRequested), [true, true]);
});

Deno.test("Device report() waits for the report before it", async () => {
  const { devices: [device], reports } = makeWorld();
  await device.report(1);
  await device.report(2);
  await device.reported();
  assertEquals(reports, [1, 2]);
});

Deno.test("Device reported() throws if the last report was not taken", async () => {
  const topology = { worldSize: 1, groups: [] }, memories = [createDeviceMemory(CAP)];
  const order = { ...{ rank: 0, topology, control: ControlBlock.initialize(topology), memories, wait: {} } };
  const report = () => Promise.reject(new Error("the disk is full"));
  const device = new Device(
    { ...order, deviceMemoryBytes: CAP, program: "", config: undefined, fault: undefined },
    report,
    { close: () => {} },
  );
  await device.report(1);
  await assertRejects(() => device.reported(), Error, "the launcher did not take a report: the disk is full");
});

Deno.test("Device fails as planned: that rank, in that step and phase only", () => {
  for (const kind of FAULT_KINDS) {
    const { devices: [first, second], closed } = makeWorld({ rank: 1, step: 2, phase: "forward", kind });
    first.enter(2, "forward");
    second.enter(1, "forward");
    second.enter(2, "backward");
    const enter = () => second.enter(2, "forward");
    if (kind === "throw") assertThrows(enter, Error, "planned failure");
    if (kind === "out-of-memory") {
      assertStringIncludes(assertThrows(enter, OutOfDeviceMemoryError).message, "a tensor that is too large");
    }
    if (kind === "close") enter();
    assertEquals(closed, kind === "close" ? [1] : []);
  }
});
