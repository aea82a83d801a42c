import { benchCollectives, type CollectiveRecord } from "../bench/collectives.ts";
import { benchMatmul, type MatmulRecord } from "../bench/matmul.ts";
import { benchStep, type StepBenchRecord } from "../bench/step.ts";
import { formatBytes } from "../kernels/mod.ts";
import { UsageError } from "../train/mod.ts";
import { parseArguments, parseNumber } from "./arguments.ts";

const HELP = `Measures this machine; figures are medians.

Usage: bench matmul|collectives|step [OPTIONS]

  --devices N    devices of collectives and step [2]
  --peers        matmul: measure onnxruntime-web (wasm, one thread) in turn with it
  --webgpu       matmul, step: measure the GPU; matmul in turn with wasm
  --json         print one JSON line per figure and nothing else`;

/** The command `bench`. */
export async function bench(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["devices"],
    flags: ["json", "peers", "webgpu"],
    positionals: ["WHAT"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const devices = parseNumber("devices", options.devices ?? "2", { min: 1, max: 64, isInteger: true });
  for await (const record of measure(positionals[0], devices, options)) {
    console.log(options.json ? JSON.stringify(record) : describe(record));
  }
  return 0;
}

type BenchRecord = MatmulRecord | CollectiveRecord | StepBenchRecord;

function measure(
  what: string | undefined,
  devices: number,
  options: Readonly<Record<string, string | boolean>>,
): AsyncGenerator<BenchRecord> {
  const webgpu = options.webgpu === true;
  switch (what) {
    case "matmul":
      return benchMatmul({ peers: options.peers === true, webgpu });
    case "collectives":
      return benchCollectives(devices);
    case "step":
      return webgpu ? benchStep(1, "webgpu") : benchStep(devices);
    default:
      throw new UsageError(`Cannot measure ${what ?? "nothing"}: give one of matmul, collectives, step`);
  }
}

function describe(record: BenchRecord): string {
  const ms = `${record.ms.toPrecision(3)} ms`;
  if ("gflops" in record) {
    const { m, n, k, gflops, backend } = record;
    return `matmul ${m} x ${n} x ${k}  ${backend}: ${ms}, ${gflops.toFixed(1)} GFLOP/s`;
  }
  if ("bytes" in record) {
    const { bench, algorithm, bytes, devices, auto } = record;
    const speed = `${(bytes / record.ms / 1e6).toFixed(2)} GB/s`;
    return `${bench} ${algorithm}${auto ? " (auto)" : ""} ${
      formatBytes(bytes)
    } on ${devices}: ${ms}, ${speed}`;
  }
  const { layers, embed, context, batch, devices, kernels, tokensPerSecond } = record;
  const size =
    `GPT ${layers} x ${embed}, context ${context}, batch ${batch}, ${devices} ${kernels} device(s)`;
  return `step ${size}: ${ms}, ${Math.round(tokensPerSecond)} tokens/s`;
}
