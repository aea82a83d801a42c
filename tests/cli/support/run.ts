import { main } from "../../../cli.ts";

/** Runs a command line; what it printed, and its exit code. */
export async function run(...args: string[]): Promise<{ code: number; text: string }> {
  const { log, error } = console, lines: string[] = [];
  console.log = (line: string) => void lines.push(line);
  console.error = console.log;
  try {
    return { code: await main(args), text: lines.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}
