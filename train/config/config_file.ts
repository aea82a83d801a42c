/**
 * Options from a file: ours as JSON, or a configuration of DeepSpeed.
 *
 * @module
 */
import { readJson, UsageError } from "../../files/mod.ts";
import { type FileOptions, fromDeepSpeed, isDeepSpeed } from "./deepspeed.ts";
import { keyOf, unknownOption } from "./option_names.ts";
import { type OptionSpec } from "./option_spec.ts";
import { type GivenOptions, TRAIN_OPTIONS } from "./options.ts";

/** Options of a file and those beside it. */
export interface ReadOptions {
  /** Those beside the file go before. */
  readonly options: GivenOptions;
  /** One line on what of the file has no effect. */
  readonly statement: string | undefined;
}

/**
 * Completes options with those of the file of `--config`.
 *
 * @throws {UsageError} If the file cannot be read, or has what cannot be honoured.
 */
export async function readConfigFile(given: GivenOptions): Promise<ReadOptions> {
  const { config: path, ...beside } = given;
  if (path === undefined) return { options: given, statement: undefined };
  const name = String(path), json = await readJson(name);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UsageError(
      `Cannot use ${name}: it must be an object of options, such as {"layers": 6, "lr": 1e-3}`,
    );
  }
  const dp = beside.dp === undefined ? undefined : Number(beside.dp);
  const { options, ignored } = isDeepSpeed(json as Record<string, unknown>)
    ? fromDeepSpeed(json as Record<string, unknown>, name, dp)
    : { options: readOwn(json as Record<string, unknown>, name), ignored: [] };
  const statement = ignored.length === 0
    ? undefined
    : `${name}: without effect here are ${ignored.join(", ")}`;
  const asked = Object.entries(beside).filter(([, value]) => value !== undefined);
  return {
    options: { ...options, ...Object.fromEntries(asked.map(([key, value]) => [keyOf(key), value])) },
    statement,
  };
}

function readOwn(json: Readonly<Record<string, unknown>>, path: string): FileOptions["options"] {
  const specs = TRAIN_OPTIONS as readonly OptionSpec[];
  const entries = Object.entries(json).map(([name, value]) => {
    const key = keyOf(name);
    if (key === "config" || !specs.some((spec) => spec.key === key)) {
      const { message } = unknownOption(name, specs.map((spec) => spec.key));
      throw new UsageError(`Cannot use ${path}: ${message}`);
    }
    if (["string", "number", "boolean"].includes(typeof value)) return [key, value];
    throw new UsageError(`Cannot use ${path}: ${name} is ${JSON.stringify(value)}, it must be one value`);
  });
  return Object.fromEntries(entries);
}
