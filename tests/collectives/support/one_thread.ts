/** A world whose ranks all live in this thread: operations are started on all, then progressed in turn. */
import { ControlBlock, Endpoint, type Group, type Pending, type Topology } from "../../../collectives/mod.ts";
import { createDeviceMemory, DeviceHeap, type Span } from "../../../kernels/mod.ts";

/** One rank. */
export interface Member {
  endpoint: Endpoint;
  group: Group;
  heap: DeviceHeap;
}

/** Ranks of one group "all", and the control block they share. */
export function createMembers(worldSize: number): { members: Member[]; control: ControlBlock } {
  const capBytes = 16 * 2 ** 20;
  const topology: Topology = {
    worldSize,
    groups: [{ name: "all", ranks: Array.from({ length: worldSize }, (_, i) => i) }],
  };
  const buffer = ControlBlock.initialize(topology);
  const memories = Array.from({ length: worldSize }, () => createDeviceMemory(capBytes));
  const members = memories.map((memory, rank): Member => {
    const heap = new DeviceHeap({ capBytes, memory });
    const wait = { spinLimit: 0, stallTimeoutMs: 50 };
    const endpoint = Endpoint.attach({ buffer, topology, rank, memories, heap, wait });
    endpoint.status.setState("running");
    return { endpoint, group: endpoint.group("all"), heap };
  });
  return { members, control: ControlBlock.attach(buffer, topology) };
}

/** Allocates a float32 span with these elements. */
export function spanOf({ heap }: Member, values: readonly number[]): Span {
  const span = heap.allocate("test", values.length, "workspace");
  heap.f32(span).set(values);
  return span;
}

/** Starts an operation on every member and progresses them in turn until all are complete. */
export function runTogether(members: readonly Member[], start: (member: Member, i: number) => Pending): void {
  const pending = members.map(start);
  for (let turn = 0; turn < 100; turn++) {
    if (pending.map((p) => p.poll()).every(Boolean)) return;
  }
  throw new Error("not complete after 100 turns");
}
