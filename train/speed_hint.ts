import { describeWasm } from "../kernels/mod.ts";

let isGiven = false;

/**
 * Tells a person at a terminal, once per process, how to make the kernels faster; nothing if they are fast or nobody
 * watches: output that a program reads stays clean.
 */
export function giveSpeedHint(
  isWatched = Deno.stderr.isTerminal(),
  print: (line: string) => void = console.error,
): void {
  if (isGiven || !isWatched) return;
  isGiven = true;
  const { line, advice } = describeWasm();
  if (advice !== undefined) print(`tessera: ${line}; ${advice}`);
}
