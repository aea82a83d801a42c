import { parseArgs } from "@std/cli/parse-args";
import { unknownOption, UsageError } from "../train/mod.ts";

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
  const parsed = parseArgs(joinNegative(args), {
    string: [...spec.values],
    boolean: [...spec.flags, "help"],
    alias: { help: "h" },
    unknown: (arg: string) => {
      if (/^--?\D/.test(arg)) throw unknownOption(arg.split("=")[0], known);
      return true;
    },
  });
  const options: Record<string, string | boolean> = {};
  for (const name of spec.values) {
    const value: unknown = parsed[name];
    if (value === undefined) continue;
    if (Array.isArray(value)) throw new UsageError(`Cannot use --${name} twice: give it one value`);
    if (value === "" || isOption(value, known)) throw new UsageError(`Cannot use --${name} without a value`);
    options[name] = value as string;
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

/** `--lr -1` as `--lr=-1`: the parser takes a negative value for an option, and the error would be about another thing. */
function joinNegative(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const last = joined.at(-1);
    if (/^-[\d.]/.test(arg) && last?.startsWith("--") && !last.includes("=")) {
      joined[joined.length - 1] = `${last}=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

function isOption(value: unknown, known: readonly string[]): boolean {
  return typeof value === "string" && known.includes(value.split("=")[0]);
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
