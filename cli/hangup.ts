import { fstatSync } from "node:fs";

const SIGHUP = 1;

/**
 * Whether this process was started to outlive its terminal (`nohup`): a listener would undo that.
 *
 * The system says so, but only to a process with all permissions. Otherwise nohup shows by the standard input that it
 * gives in place of a terminal: /dev/null, open for writing only.
 */
export function isHangupIgnored(): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
    if (mask !== undefined) return (BigInt(`0x${mask}`) >> BigInt(SIGHUP - 1) & 1n) === 1n;
  } catch {
    // Not Linux, or not allowed.
  }
  try {
    if (Deno.stdin.isTerminal() || !fstatSync(0).isCharacterDevice()) return false;
  } catch {
    return false;
  }
  try {
    // Neither a terminal nor a pipe: this returns at once.
    Deno.stdin.readSync(new Uint8Array(1));
    return false;
  } catch {
    return true;
  }
}
