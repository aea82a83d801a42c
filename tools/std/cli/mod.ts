/**
 * Offline stand-in for `jsr:@std/cli`: `parseArgs` over minimist, the parser that the real one descends from.
 *
 * `"workspace"` in the project's deno.json resolves `jsr:@std/cli` to this folder, so that a checkout needs
 * nothing but the npm registry. The published package uses the real one.
 *
 * @module
 */
import minimist from "minimist";

/** What `parseArgs` understands; the meaning is that of `@std/cli`. */
export interface ParseOptions {
  /** Put what follows `--` into `args["--"]` instead of `args._`. */
  "--"?: boolean;
  /** Other names of an option. */
  alias?: Record<string, string | readonly string[]>;
  /** Options without a value; false unless given. */
  boolean?: boolean | string | readonly string[];
  /** Options that gather all their values in an array. */
  collect?: string | readonly string[];
  /** Values of options that are not given. */
  default?: Record<string, unknown>;
  /** Options that `--no-NAME` sets to false. */
  negatable?: string | readonly string[];
  /** Everything behind the first argument that is no option goes to `args._`. */
  stopEarly?: boolean;
  /** Options whose value stays a string. */
  string?: string | readonly string[];
  /** Called for every argument that no other field names; `false` drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** The options found, and in `_` the other arguments. */
export interface Args {
  /** Arguments that belong to no option. */
  _: Array<string | number>;
  /** Value of an option. */
  // deno-lint-ignore no-explicit-any
  [name: string]: any;
}

/** Parses command line arguments. */
export function parseArgs(args: string[], options: ParseOptions = {}): Args {
  const negatable = new Set(list(options.negatable));
  const plain = protectNoPrefix(args, negatable, options);
  const parsed = minimist(plain.args, {
    "--": options["--"] ?? false,
    alias: Object.fromEntries(Object.entries(options.alias ?? {}).map(([k, v]) => [k, list(v)])),
    boolean: typeof options.boolean === "boolean" ? options.boolean : list(options.boolean),
    default: options.default ?? {},
    stopEarly: options.stopEarly ?? false,
    string: list(options.string),
    unknown: (arg: string) => isKept(plain.raw.get(arg) ?? arg, options),
  }) as Args;
  for (const key of plain.flags) if (key in parsed) parsed[key] = true;
  settleRepeats(parsed, options);
  return parsed;
}

function isKept(arg: string, options: ParseOptions): boolean {
  const match = /^--?([^=]+)(?:=([^]*))?$/.exec(arg);
  const result = match === null ? options.unknown?.(arg) : options.unknown?.(arg, match[1], match[2]);
  return result !== false;
}

/**
 * minimist reads every `--no-name` as "name is false", std only the negatable ones: the others are
 * rewritten to `--no-name=value`, which minimist takes as it stands.
 */
function protectNoPrefix(args: string[], negatable: ReadonlySet<string>, options: ParseOptions) {
  const raw = new Map<string, string>();
  const flags: string[] = [];
  const result: string[] = [];
  const booleans = new Set(list(typeof options.boolean === "boolean" ? [] : options.boolean));
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  for (let i = 0; i < end; i++) {
    const name = /^--no-([^=]+)$/.exec(args[i])?.[1];
    if (name === undefined || negatable.has(name)) {
      result.push(args[i]);
      continue;
    }
    const takesNext = i + 1 < end && !args[i + 1].startsWith("-") && !booleans.has(`no-${name}`);
    const rewritten = `${args[i]}=${takesNext ? args[i + 1] : "true"}`;
    raw.set(rewritten, args[i]);
    if (takesNext) i++;
    else flags.push(`no-${name}`);
    result.push(rewritten);
  }
  return { args: [...result, ...args.slice(end)], raw, flags };
}

/** minimist gathers repeated options, std keeps the last one unless the option is in `collect`. */
function settleRepeats(parsed: Args, options: ParseOptions): void {
  const collected = new Set<string>();
  for (const name of list(options.collect)) {
    for (const key of [name, ...aliasesOf(name, options)]) collected.add(key);
  }
  const given = options.default ?? {};
  for (const [key, value] of Object.entries(parsed)) {
    if (key === "_" || key === "--" || value === given[key]) continue;
    if (Array.isArray(value) && !collected.has(key)) parsed[key] = value.at(-1);
    if (!Array.isArray(value) && collected.has(key)) parsed[key] = [value];
  }
  for (const key of collected) parsed[key] ??= [];
}

function aliasesOf(name: string, options: ParseOptions): string[] {
  const entries = Object.entries(options.alias ?? {}).map(([key, value]) => [key, ...list(value)]);
  return entries.filter((names) => names.includes(name)).flat().filter((other) => other !== name);
}

function list(value: string | readonly string[] | undefined): string[] {
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : [...value];
}
