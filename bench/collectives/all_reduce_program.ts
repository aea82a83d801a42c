import type { Device } from "../../actors/mod.ts";
import { now, subspan } from "../../kernels/mod.ts";
import type { AllReduceTask } from "./collectives_peers.ts";

/** Our side of the comparison: all ranks run it, the answer is that of rank 0. */
export default function allReduceProgram(device: Device, tasks: readonly AllReduceTask[]): number[][] {
  const group = device.group("dp"), { heap } = device;
  const buffer = heap.allocate("buffer", Math.max(...tasks.map(({ bytes }) => bytes)) / 4, "buffers");
  heap.f32(buffer).fill(0);
  for (const { bytes, count } of tasks) {
    const span = subspan(buffer, 0, bytes / 4);
    for (let i = 0; i < count; i++) group.allReduce(span);
  }
  return tasks.map(({ bytes, count, samples }) => {
    const span = subspan(buffer, 0, bytes / 4), times: number[] = [];
    for (let sample = 0; sample < samples; sample++) {
      group.barrier();
      const start = now();
      for (let i = 0; i < count; i++) group.allReduce(span);
      times.push((now() - start) / count);
    }
    return times;
  });
}
