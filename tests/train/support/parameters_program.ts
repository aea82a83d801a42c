import type { Device } from "../../../actors/mod.ts";
import type { TrainJob } from "../../../train/mod.ts";
import trainProgram from "../../../train/step/train_program.ts";

/** Trains as every rank does; returns the bits of this rank's parameters at the end. */
export default async function run(device: Device, job: TrainJob): Promise<Int32Array> {
  const { heap } = device, allocate = heap.allocate.bind(heap), spans: ReturnType<typeof allocate>[] = [];
  heap.allocate = (name, length, category, dtype) => {
    const span = allocate(name, length, category, dtype);
    if (category === "parameters") spans.push(span);
    return span;
  };
  await trainProgram(device, job);
  return Int32Array.from(spans.flatMap((span) => [...heap.i32(span)]));
}
