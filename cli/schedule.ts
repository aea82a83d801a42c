import {
  checkSchedule,
  drawSchedule,
  formatSchedule,
  makeSchedule,
  parseSchedule,
  type Schedule,
  type ScheduleName,
  SCHEDULES,
} from "../strategies/mod.ts";
import { asUsageError, fileProblem, UsageError } from "../files/mod.ts";
import { parseArguments, parseNumber } from "./arguments.ts";

const HELP = `Draws a pipeline schedule with its bubble, and checks it.

Usage: schedule [NAME|FILE] [OPTIONS]       NAME: ${SCHEDULES.join(", ")} [1f1b]

  --pp N               devices [4]
  --micro-batches N    micro-batches of a step [8]
  --virtual-stages N   stages per device of interleaved [2]
  --text               print the lists of instructions, as a FILE holds them
  --json               print bubble, length and micro-batches in flight`;

/** The command `schedule`; exit code 1 if the schedule is not valid. */
export async function schedule(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: ["pp", "micro-batches", "virtual-stages"],
    flags: ["text", "json"],
    positionals: ["NAME"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  const count = (name: string, preset: string) =>
    parseNumber(name, options[name] ?? preset, { min: 1, max: 256, isInteger: true });
  const name = positionals[0] ?? "1f1b";
  const sizes = { p: count("pp", "4"), m: count("micro-batches", "8") };
  const v = name === "interleaved" ? count("virtual-stages", "2") : undefined;
  const isNamed = (SCHEDULES as readonly string[]).includes(name);
  const made = isNamed
    ? asUsageError(() => makeSchedule(name as ScheduleName, { ...sizes, v }))
    : await readFile(name);
  const report = checkSchedule(made);
  if (options.json) {
    const { bubble, makespan, inFlight, problems } = report;
    console.log(
      JSON.stringify({
        name: made.name,
        p: made.p,
        m: made.m,
        v: made.v,
        bubble,
        makespan,
        inFlight,
        problems,
      }),
    );
  } else console.log(options.text ? formatSchedule(made) : drawSchedule(made));
  return report.problems.length === 0 ? 0 : 1;
}

async function readFile(path: string): Promise<Schedule> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(
      `Cannot read schedule ${path}: ${fileProblem(error)}; names are ${SCHEDULES.join(", ")}`,
    );
  }
  return asUsageError(() => parseSchedule(text, path));
}
