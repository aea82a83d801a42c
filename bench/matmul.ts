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
/** What a GPU is measured with. */
const GPU_SIZES = [[512, 512, 512], [1024, 1024, 1024], [2048, 2048, 2048]] as const;
const REPETITIONS = 15, WARM_UP = 3;
/** From so many operations on a product is measured a few times only: software that acts as a GPU takes seconds for it. */
const LARGE = 2 ** 31, FEW_REPETITIONS = 3;
const MEMORY_BYTES = 256 * 2 ** 20;

/** What is measured besides the kernels of a device. */
export interface MatmulBenchOptions {
  /** Measures onnxruntime-web's wasm backend in turn with them. */
  readonly peers?: boolean;
  /** Measures squares of 512 to 2048 on the GPU, in turn with them. */
  readonly webgpu?: boolean;
}

/** Measures products on one device, and on others in turn with it. */
export async function* benchMatmul(options: MatmulBenchOptions = {}): AsyncGenerator<MatmulRecord> {
  const heap = new DeviceHeap({ capBytes: MEMORY_BYTES, memory: createDeviceMemory(MEMORY_BYTES) });
  const backend = createBackend("wasm", heap), { webgpu, peers } = options;
  const peer = webgpu || peers ? await openOnnxMatmul(webgpu ? "webgpu" : "wasm") : undefined;
  for (const [m, n, k] of webgpu ? GPU_SIZES : SIZES) {
    const a = heap.allocate(`A (${formatBytes(4 * m * k)})`, m * k, "workspace");
    const b = heap.allocate("B", k * n, "workspace"), c = heap.allocate("C", m * n, "workspace");
    for (const span of [a, b]) heap.f32(span).forEach((_, i, values) => values[i] = (i % 97) / 97 - 0.5);
    const args = { m, n, k, a, b, c };
    const runs = new Map<string, Run>([["wasm", () => backend.matmul(args)]]);
    if (peer !== undefined) runs.set(peer.name, await peer.prepare(m, n, k));
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
  const isLarge = operations >= LARGE, repetitions = isLarge ? FEW_REPETITIONS : REPETITIONS;
  for (let round = isLarge ? -1 : -WARM_UP; round < repetitions; round++) {
    for (const [name, run] of runs) {
      const start = now();
      for (let i = 0; i < inner; i++) await run();
      if (round >= 0) times.set(name, [...times.get(name) ?? [], (now() - start) / inner]);
    }
  }
  return new Map([...times].map(([name, values]) => [name, median(values)]));
}
