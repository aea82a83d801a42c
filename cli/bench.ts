import { benchCollectives, type CollectiveRecord } from "../bench/collectives/collectives.ts";
import { benchGenerate, type GenerateBenchRecord } from "../bench/generate/generate.ts";
import { benchMatmul, type MatmulRecord } from "../bench/matmul/matmul.ts";
import { describeShape } from "../bench/matmul/matmul_shapes.ts";
import { BENCHES, type BenchName, sectionsOf } from "../bench/sections.ts";
import { writeRecord } from "../bench/record.ts";
import { benchWebgpuMatmul } from "../bench/matmul/matmul_webgpu.ts";
import { benchStep, type StepBenchRecord } from "../bench/step/step.ts";
import { readSection } from "../bench/section_text.ts";
import { formatBytes } from "../kernels/mod.ts";
import { UsageError } from "../files/mod.ts";
import { parseArguments, parseNumber } from "./arguments.ts";

const HELP = `Measures this machine; figures are medians.

Usage: bench matmul|collectives|step|generate [OPTIONS]

  --devices N    devices of collectives, step and generate [2]
  --peers        measure other libraries in turn with ours: deno task bench:peers has the permissions
                   matmul       onnxruntime-web, TensorFlow.js, jax-js, OpenBLAS
                   collectives  OpenMPI
                   step         PyTorch, TensorFlow.js, jax-js
                   generate     llama.cpp, which needs Node.js
  --webgpu       matmul, step: measure the GPU; matmul in turn with wasm
  --record       with --peers: write the tables with machine and date to bench/results/ (deno task bench:record)
  --json         print one JSON line per figure and nothing else

Peers from npm are fetched when they are asked for; the others are used where the machine has them.`;

/** The command `bench`. */
export async function bench(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["devices"],
    flags: ["json", "peers", "record", "webgpu"],
    positionals: ["WHAT"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const name = benchName(positionals[0]);
  const devices = parseNumber("devices", options.devices ?? "2", { min: 1, max: 64, isInteger: true });
  if (options.record && !options.peers) {
    throw new UsageError(
      "Cannot use --record without --peers: what is recorded is a comparison; add --peers",
    );
  }
  if (options.peers) checkPeers(name, devices);
  const isJson = options.json === true;
  if (options.peers) await comparePeers(name, { devices, isJson, isRecorded: options.record === true });
  else {for await (const record of measure(name, { devices, isOnGpu: options.webgpu === true })) {
      console.log(isJson ? JSON.stringify(record) : describe(record));
    }}
  return 0;
}

function benchName(name: string | undefined): BenchName {
  const known = BENCHES.find((bench) => bench === name);
  if (known !== undefined) return known;
  throw new UsageError(`Cannot measure ${name ?? "nothing"}: give one of ${BENCHES.join(", ")}`);
}

/** Replicas of `bench step --peers` have whole sequences of the batches of both models, 12 and 4. */
const STEP_DEVICES = [1, 2, 4];

function checkPeers(bench: BenchName, devices: number): void {
  if (!import.meta.url.startsWith("file:")) {
    throw new UsageError(
      "Cannot use --peers here: peers are measured in a checkout, not in the published package",
    );
  }
  if (bench !== "step" || STEP_DEVICES.includes(devices)) return;
  throw new UsageError(`Cannot use --devices ${devices} with step --peers: use ${STEP_DEVICES.join(", ")}`);
}

async function comparePeers(
  bench: BenchName,
  { devices, isJson, isRecorded }: { devices: number; isJson: boolean; isRecorded: boolean },
): Promise<void> {
  const sections: string[] = [];
  for await (const section of sectionsOf(bench, { devices })) {
    sections.push(await readSection(section, { bench, isJson, print: (line) => console.log(line) }));
  }
  if (!isRecorded) return;
  const path = await writeRecord(sections);
  if (!isJson) console.log(`Recorded in ${path}`);
}

type BenchRecord = MatmulRecord | CollectiveRecord | StepBenchRecord | GenerateBenchRecord;

function measure(
  name: BenchName,
  { devices, isOnGpu }: { devices: number; isOnGpu: boolean },
): AsyncGenerator<BenchRecord> {
  switch (name) {
    case "matmul":
      return isOnGpu ? benchWebgpuMatmul() : benchMatmul();
    case "collectives":
      return benchCollectives(devices);
    case "generate":
      return benchGenerate(devices);
    case "step":
      return isOnGpu ? benchStep(1, "webgpu") : benchStep(devices);
  }
}

function describe(record: BenchRecord): string {
  const ms = `${record.ms.toPrecision(3)} ms`;
  if ("gflops" in record) {
    return `matmul ${describeShape(record)}: ${ms}, ${record.gflops.toFixed(1)} GFLOP/s`;
  }
  if ("phase" in record) {
    const { phase, model, weights, sequences, devices, tokensPerSecond } = record;
    const what = `${phase} of ${model} in ${weights}, ${sequences} text(s), ${devices} device(s)`;
    return `${what}: ${ms}, ${tokensPerSecond.toFixed(1)} tokens/s`;
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
