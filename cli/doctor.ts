import { kernelCapabilities } from "../kernels/mod.ts";
import { parseArguments } from "./arguments.ts";

const HELP = `Says what this machine offers and what will be used of it.

Usage: doctor [--json]`;

interface Finding {
  readonly name: string;
  readonly isAvailable: boolean;
  readonly reason: string;
}

/** The command `doctor`; exit code 1 if training cannot work here. */
export function doctor(args: string[]): Promise<number> {
  const { options, isHelp } = parseArguments(args, { values: [], flags: ["json"], positionals: [] });
  if (isHelp) {
    console.log(HELP);
    return Promise.resolve(0);
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
  ];
  if (options.json) console.log(JSON.stringify({ deno, v8, cores, findings }));
  else {for (const { name, isAvailable, reason } of findings) {
      console.log(`${isAvailable ? "ok" : "no"}  ${name.padEnd(14)} ${reason}`);
    }}
  const isUsable = findings.every(({ name, isAvailable }) => isAvailable || name === "fast flags");
  return Promise.resolve(isUsable ? 0 : 1);
}
