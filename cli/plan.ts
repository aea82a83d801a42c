import {
  describeOptions,
  flagOf,
  formatPlan,
  largestRank,
  type OptionSpec,
  planTraining,
  TRAIN_OPTIONS,
  type TrainOptions,
  UsageError,
} from "../train/mod.ts";
import { parseArguments } from "./arguments.ts";

const SPECS: readonly OptionSpec[] = TRAIN_OPTIONS;

const HELP =
  `Says what every device of a training run would hold and move, and whether it fits; starts nothing.

Usage: plan [DATA] [OPTIONS]               DATA and OPTIONS as for train

${describeOptions()}

--json prints one line: per rank the bytes by category and by collective, and the bubble.`;

/** The command `plan`; exit code 1 if the run does not fit its devices. */
export async function plan(args: string[]): Promise<number> {
  const isFlag = (spec: OptionSpec) => spec.kind === "flag",
    nameOf = (spec: OptionSpec) => flagOf(spec.key).slice(2);
  const { options, positionals, isHelp } = parseArguments(args, {
    values: SPECS.filter((spec) => !isFlag(spec)).map(nameOf),
    flags: SPECS.filter(isFlag).map(nameOf),
    positionals: ["DATA"],
  });
  if (isHelp) {
    console.log(HELP);
    return 0;
  }
  if (positionals.length > 0 && options.data !== undefined) {
    throw new UsageError(`Cannot use both DATA (${positionals[0]}) and --data (${options.data}): give one`);
  }
  const data = positionals[0] ?? options.data;
  const given = { ...options, ...(data === undefined ? {} : { data }) };
  const { prepared } = await planTraining(given as TrainOptions);
  const { plan, job: { config: { deviceMemoryBytes } } } = prepared;
  const isFitting = largestRank(plan).extentBytes <= deviceMemoryBytes;
  if (options.json) console.log(JSON.stringify({ ...plan, deviceMemoryBytes, isFitting }));
  else console.log(formatPlan(plan, deviceMemoryBytes));
  return isFitting ? 0 : 1;
}
