import { main } from "../../cli.ts";

/** How a command ended, and what it printed. */
export interface Outcome {
  code: number;
  out: string[];
  errors: string[];
}

/** Runs a command line in this process and keeps what it prints. */
export async function run(...args: string[]): Promise<Outcome> {
  const { log, error } = console, out: string[] = [], errors: string[] = [];
  console.log = (...parts: unknown[]) => out.push(parts.join(" "));
  console.error = (...parts: unknown[]) => errors.push(parts.join(" "));
  try {
    return { code: await main(args), out, errors };
  } finally {
    Object.assign(console, { log, error });
  }
}
