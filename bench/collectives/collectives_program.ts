import type { Device } from "../../actors/mod.ts";
import { chooseAlgorithm } from "../../collectives/mod.ts";
import { now, type Span, subspan } from "../../kernels/mod.ts";
import type { CollectiveRecord, CollectivesConfig } from "./collectives.ts";
import { median } from "../statistics.ts";

const ALL_REDUCE_ALGORITHMS = ["eager", "ordered", "ring"] as const;
/** Time for one row, and how many measurements the median is taken over. */
const ROW_MS = 150, REPETITIONS = 15;

/** One operation to measure. */
interface Case {
  readonly bench: string;
  readonly algorithm: string;
  readonly run: () => void;
}

/** Measures every collective at every size; all ranks run it, rank 0's records are printed. */
export default function collectivesProgram(device: Device, { sizes }: CollectivesConfig): CollectiveRecord[] {
  const group = device.group("dp"), maxLength = Math.max(...sizes) / 4;
  const input = device.heap.allocate("input", maxLength, "buffers");
  const output = device.heap.allocate("output", maxLength, "buffers");
  const agreed = device.heap.allocate("agreed", 1, "buffers", "f64");
  const records: CollectiveRecord[] = [];
  for (const bytes of sizes) {
    const length = bytes / 4;
    for (
      const { bench, algorithm, run } of cases(device, subspan(input, 0, length), subspan(output, 0, length))
    ) {
      const isChosen = chooseAlgorithm(bytes, group.size) === algorithm;
      const ms = measure(device, run, agreed);
      const auto = bench !== "allReduce" || isChosen ? { auto: true as const } : {};
      records.push({ bench, algorithm, devices: group.size, bytes, ms, ...auto });
    }
  }
  return records;
}

function cases(device: Device, input: Span, output: Span): Case[] {
  const group = device.group("dp"), { size, index } = group, chunk = input.length / size;
  const own = subspan(output, Math.floor(chunk * index), Math.floor(chunk));
  const isEven = input.length % size === 0;
  const reduce = ALL_REDUCE_ALGORITHMS.filter((algorithm) =>
    algorithm !== "eager" || 4 * input.length <= 8192
  ).map(
    (algorithm) => ({ bench: "allReduce", algorithm, run: () => group.allReduce(input, { algorithm }) }),
  );
  if (!isEven) return reduce;
  const others = {
    reduceScatter: () => group.reduceScatter(input, own),
    allGather: () => group.allGather(own, output),
    allToAll: () => group.allToAll(input, output),
    broadcast: () => group.broadcast(input, 0),
  };
  return [
    ...reduce,
    ...Object.entries(others).map(([bench, run]) => ({ bench, algorithm: "direct", run })),
  ];
}

/** Median time of one run, in rounds that all ranks begin together; the ranks agree on the number of runs. */
function measure(device: Device, run: () => void, agreed: Span): number {
  const group = device.group("dp");
  run();
  const first = now();
  run();
  // The ranks take rank 0's guess of how many runs fit.
  device.heap.f64(agreed)[0] = now() - first;
  group.broadcast(agreed, 0);
  const guess = Math.max(1e-4, device.heap.f64(agreed)[0]);
  const inner = Math.max(1, Math.min(2000, Math.round(ROW_MS / REPETITIONS / guess)));
  const times: number[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    group.barrier();
    const start = now();
    for (let j = 0; j < inner; j++) run();
    times.push((now() - start) / inner);
  }
  return median(times);
}
