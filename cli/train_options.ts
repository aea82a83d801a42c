import { UsageError } from "../files/mod.ts";
import { flagOf, type OptionSpec, TRAIN_OPTIONS, type TrainOptions } from "../train/mod.ts";
import { parseArguments } from "./arguments.ts";

/**
 * Parses `[DATA] [OPTIONS]` of commands that are about a training run.
 *
 * @returns The options by name, or undefined if help was asked for.
 * @throws {UsageError} If an option does not exist, or the data is given twice.
 */
export function parseTrainOptions(args: readonly string[]): TrainOptions | undefined {
  const specs: readonly OptionSpec[] = TRAIN_OPTIONS;
  const named = (isFlag: boolean) =>
    specs.filter(({ kind }) => (kind === "flag") === isFlag).map(({ key }) => flagOf(key).slice(2));
  const { options, positionals, isHelp } = parseArguments(args, {
    values: named(false),
    flags: named(true),
    positionals: ["DATA"],
  });
  if (isHelp) return undefined;
  if (positionals.length > 0 && options.data !== undefined) {
    throw new UsageError(`Cannot use both DATA (${positionals[0]}) and --data (${options.data}): give one`);
  }
  const data = positionals[0] ?? options.data;
  return { ...options, ...(data === undefined ? {} : { data }) } as TrainOptions;
}
