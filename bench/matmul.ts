import { createBackend, createDeviceMemory, DeviceHeap, formatBytes, now } from "../kernels/mod.ts";
import { openOnnxMatmul } from "./onnx_peer.ts";
import { median } from "./statistics.ts";

/** A measured product. */
export interface MatmulRecord {
  readonly bench: "matmul";
  /** `wasm`, or the name of a peer. */
  readonly backend: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Median of one product. */
  readonly ms: number;
  readonly gflops: number;
}

/** Runs one product. */
type Run = () => void | Promise<unknown>;

/** Squares, and the linear layers of a step of the small and of a larger GPT. */
const SIZES = [
  [256, 256, 256],
  [512, 512, 512],
  [1024, 1024, 1024],
  [384, 384, 128],
  [384, 512, 128],
  [512, 1536, 384],
  [512, 384, 1536],
] as const;
const REPETITIONS = 15;
const MEMORY_BYTES = 256 * 2 ** 20;

/** Measures products on one device, and with `peers` the same ones on onnxruntime-web in turn with them. */
export async function* benchMatmul(options: { peers?: boolean } = {}): AsyncGenerator<MatmulRecord> {
  const heap = new DeviceHeap({ capBytes: MEMORY_BYTES, memory: createDeviceMemory(MEMORY_BYTES) });
  const backend = createBackend("wasm", heap);
  const peer = options.peers ? await openOnnxMatmul() : undefined;
  for (const [m, n, k] of SIZES) {
    const a = heap.allocate(`A (${formatBytes(4 * m * k)})`, m * k, "workspace");
    const b = heap.allocate("B", k * n, "workspace"), c = heap.allocate("C", m * n, "workspace");
    for (const span of [a, b]) heap.f32(span).forEach((_, i, values) => values[i] = (i % 97) / 97 - 0.5);
    const args = { m, n, k, a, b, c };
    const runs = new Map<string, Run>([["wasm", () => backend.matmul(args)]]);
    if (peer !== undefined) runs.set(peer.name, peer.prepare(m, n, k));
    for (const [name, ms] of await measure(runs, 2 * m * n * k)) {
      yield { bench: "matmul", backend: name, m, n, k, ms, gflops: 2 * m * n * k / ms / 1e6 };
    }
    for (const span of [a, b, c]) heap.free(span);
  }
}

/** Medians by name; the runs take turns, so that a slow moment of the machine hits all of them. */
async function measure(runs: ReadonlyMap<string, Run>, operations: number): Promise<Map<string, number>> {
  // About 2 ms a measurement at 50 GFLOP/s; the first rounds are for the compiler's tiers.
  const inner = Math.max(1, Math.round(1e8 / operations)), times = new Map<string, number[]>();
  for (let round = -3; round < REPETITIONS; round++) {
    for (const [name, run] of runs) {
      const start = now();
      for (let i = 0; i < inner; i++) await run();
      if (round >= 0) times.set(name, [...times.get(name) ?? [], (now() - start) / inner]);
    }
  }
  return new Map([...times].map(([name, values]) => [name, median(values)]));
}
