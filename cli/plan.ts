import { describeOptions, formatPlan, largestRank, planTraining } from "../train/mod.ts";
import { planServe } from "./plan_serving.ts";
import { parseTrainOptions } from "./train_options.ts";

const HELP =
  `Says what every device of a training run would hold and move, and whether it fits; starts nothing.

Usage: plan [DATA] [OPTIONS]               DATA and OPTIONS as for train
       plan --serve DIR                    what serving a model takes: plan --serve DIR --help

${describeOptions()}

--json prints one line: per rank the bytes by category and by collective, and the bubble.`;

/** The command `plan`; exit code 1 if the run does not fit its devices. */
export async function plan(args: string[]): Promise<number> {
  if (args.some((arg) => /^--serve(?:=|$)/.test(arg))) return await planServe(args);
  const options = parseTrainOptions(args);
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  const { prepared } = await planTraining(options);
  const { plan, job: { config: { deviceMemoryBytes } } } = prepared;
  const isFitting = largestRank(plan).extentBytes <= deviceMemoryBytes;
  if (options.json) console.log(JSON.stringify({ ...plan, deviceMemoryBytes, isFitting }));
  else console.log(formatPlan(plan, deviceMemoryBytes));
  return isFitting ? 0 : 1;
}
