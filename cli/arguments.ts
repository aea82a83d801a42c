import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../files/mod.ts";
import { parseBytes, unknownOption } from "../train/mod.ts";

/** What a command understands. */
export interface ArgumentSpec {
  /** Options with a value, by flag without dashes. */
  readonly values: readonly string[];
  /** Options without a value. */
  readonly flags: readonly string[];
  /** What stands without a dash, in order. */
  readonly positionals: readonly string[];
}

/** A parsed command line. */
export interface Arguments {
  /** Texts of options that were given, and `true` for flags. */
  readonly options: Readonly<Record<string, string | boolean>>;
  readonly positionals: readonly string[];
  readonly isHelp: boolean;
}

/**
 * Parses the arguments of a command.
 *
 * @throws {UsageError} For an unknown option, one without its value, one given twice, or too many arguments.
 */
export function parseArguments(args: readonly string[], spec: ArgumentSpec): Arguments {
  const known = [...spec.values, ...spec.flags, "help"].map((name) => `--${name}`);
  const parsed = parseArgs(joinValues(args, { values: spec.values, known }), {
    // What stands without a dash is text, too: a folder may be called 007.
    string: [...spec.values, "_"],
    collect: [...spec.values],
    boolean: [...spec.flags, "help"],
    alias: { help: "h" },
    unknown: (arg: string) => {
      if (/^--?\D/.test(arg)) throw unknownOption(arg.split("=")[0], known);
      return true;
    },
  });
  const options: Record<string, string | boolean> = {};
  for (const name of spec.values) {
    const given: string[] = parsed[name] ?? [];
    if (given.length > 1) throw new UsageError(`Cannot use --${name} twice: give it one value`);
    if (given[0] === "") throw new UsageError(`Cannot use --${name} without a value`);
    if (given.length === 1) options[name] = given[0];
  }
  for (const name of spec.flags) if (parsed[name]) options[name] = true;
  const positionals = parsed._.map(String);
  if (positionals.length > spec.positionals.length) {
    const extra = positionals[spec.positionals.length], names = spec.positionals.join(" ");
    throw new UsageError(
      `Cannot use argument ${extra}: ${names === "" ? "none is" : `only ${names} is`} allowed here`,
    );
  }
  return { options, positionals, isHelp: Boolean(parsed.help) };
}

/**
 * Bytes that an option says, as `512MiB`; undefined if it was not given.
 *
 * @param least The smallest that is allowed.
 * @throws {UsageError} If it is no size.
 */
export function sizeOption(
  { options }: Pick<Arguments, "options">,
  name: string,
  least = 0,
): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  const bytes = parseBytes(value as string);
  if (bytes >= least) return bytes;
  throw new UsageError(`Cannot use --${name} ${value}: it must be a size such as 512MiB`);
}

/**
 * Joins options with their values, `--lr -1` as `--lr=-1`: the parser takes what begins with a dash for an option.
 *
 * What looks like `--name` is an option all the same, unless it is joined already or stands behind `--`.
 *
 * @throws {UsageError} For an option without its value.
 */
function joinValues(
  args: readonly string[],
  { values, known }: { values: readonly string[]; known: readonly string[] },
): string[] {
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--") return [...joined, ...args.slice(i)];
    if (!arg.startsWith("--") || !values.includes(arg.slice(2))) {
      joined.push(arg);
      continue;
    }
    if (args[i + 1] === "--") i++;
    else if (looksLikeOption(args[i + 1])) {
      const hint = known.includes(args[i + 1].split("=")[0])
        ? ""
        : `; if it is ${args[i + 1]}, write = between them`;
      throw new UsageError(`Cannot use ${arg} without a value${hint}`);
    }
    const value = args[++i];
    if (value === undefined) throw new UsageError(`Cannot use ${arg} without a value`);
    joined.push(`${arg}=${value}`);
  }
  return joined;
}

function looksLikeOption(arg: string = ""): boolean {
  return /^--[a-z][\w-]*(=|$)/i.test(arg);
}

/**
 * A number of a command line.
 *
 * @throws {UsageError} If it is none, or outside its range.
 */
export function parseNumber(
  name: string,
  text: string | boolean,
  range: { min: number; max?: number; isInteger?: boolean },
): number {
  const value = typeof text === "string" && text.trim() !== "" ? Number(text) : NaN;
  const { min, max = Infinity, isInteger = false } = range;
  if (value >= min && value <= max && (!isInteger || Number.isSafeInteger(value))) return value;
  const kind = isInteger ? "a whole number" : "a number";
  const bounds = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new UsageError(`Cannot use --${name} ${text}: it must be ${kind} ${bounds}`);
}

/**
 * The value of an option that has some.
 *
 * @throws {UsageError} If it is none of them.
 */
export function chooseOption<T extends string>(
  name: string,
  value: string | boolean | undefined,
  known: readonly T[],
): T | undefined {
  const found = known.find((one) => one === value);
  if (value === undefined || found !== undefined) return found;
  throw new UsageError(`Cannot use --${name} ${value}: known are ${known.join(", ")}`);
}
