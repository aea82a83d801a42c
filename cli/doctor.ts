import { kernelCapabilities, onnx } from "../kernels/mod.ts";
import { parseArguments } from "./arguments.ts";

const HELP = `Says what this machine offers and what will be used of it.

Usage: doctor [--json]`;

interface Finding {
  readonly name: string;
  readonly isAvailable: boolean;
  readonly reason: string;
}

/** What training does without. */
const OPTIONAL = ["fast flags", "WebGPU"];

/** The command `doctor`; exit code 1 if training cannot work here. */
export async function doctor(args: string[]): Promise<number> {
  const { options, isHelp } = parseArguments(args, { values: [], flags: ["json"], positionals: [] });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const cores = navigator.hardwareConcurrency, { deno, v8 } = Deno.version;
  const findings: Finding[] = [
    { name: "Deno", isAvailable: true, reason: `${deno}, V8 ${v8}, ${Deno.build.os} ${Deno.build.arch}` },
    {
      name: "cores",
      isAvailable: true,
      reason: `${cores}: train uses ${cores} device(s) unless --dp says otherwise`,
    },
    ...kernelCapabilities(),
    { name: "WebGPU", ...await onnx.findAdapter() },
  ];
  if (options.json) console.log(JSON.stringify({ deno, v8, cores, findings }));
  else {for (const { name, isAvailable, reason } of findings) {
      console.log(`${isAvailable ? "ok" : "no"}  ${name.padEnd(14)} ${reason}`);
    }}
  const isUsable = findings.every(({ name, isAvailable }) => isAvailable || OPTIONAL.includes(name));
  return isUsable ? 0 : 1;
}
