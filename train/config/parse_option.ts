import { UsageError } from "../../files/mod.ts";
import { flagOf } from "./option_names.ts";
import { type OptionSpec } from "./option_spec.ts";

/**
 * A value of an option, from text or as it is.
 *
 * @throws {UsageError} If the option does not allow it.
 */
export function parseOption(spec: OptionSpec, value: string | number | boolean): string | number | boolean {
  const fail = (allowed: string): never => {
    const shown = /^[^\s"]+$/.test(String(value)) ? value : JSON.stringify(value);
    throw new UsageError(`Cannot use ${flagOf(spec.key)} ${shown}: it must be ${allowed}`);
  };
  if (spec.kind === "flag") return typeof value === "boolean" ? value : fail("true or false");
  if (spec.kind === "text") return typeof value === "string" && value !== "" ? value : fail("a path");
  if (spec.kind === "choice") {
    return spec.choices!.includes(value as string) ? value : fail(`one of ${spec.choices!.join(", ")}`);
  }
  if (spec.kind === "bytes") return inRange(spec, parseBytes(value)) ?? fail(describeRange(spec));
  const text = typeof value === "string" && value.trim() === "" ? NaN : value;
  const number = typeof value === "boolean" ? NaN : Number(text);
  if (spec.kind === "integer" && !Number.isSafeInteger(number)) return fail(describeRange(spec));
  return inRange(spec, number) ?? fail(describeRange(spec));
}

/** Bytes of `512MiB`, `1.5GiB`, `64KiB`, `1048576`; NaN if it is no size. */
export function parseBytes(value: string | number | boolean): number {
  if (typeof value === "number") return value;
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]i?B?|B)?$/i.exec(String(value).trim());
  if (match === null) return NaN;
  const power = "KMG".indexOf((match[2] ?? "B")[0].toUpperCase()) + 1;
  return Math.floor(Number(match[1]) * 1024 ** power);
}

function inRange(spec: OptionSpec, value: number): number | undefined {
  const { min = -Infinity, max = Infinity, isMinOpen, isMaxOpen } = spec;
  const isInside = Number.isFinite(value) && (isMinOpen ? value > min : value >= min) &&
    (isMaxOpen ? value < max : value <= max);
  return isInside ? value : undefined;
}

function describeRange(spec: OptionSpec): string {
  if (spec.kind === "bytes") {
    return `a size${spec.max === undefined ? "" : " from 1MiB to 4095MiB"} such as 512MiB`;
  }
  const what = spec.kind === "integer" ? "a whole number" : "a number";
  const low = spec.min === undefined
    ? ""
    : spec.isMinOpen
    ? ` above ${spec.min}`
    : ` of at least ${spec.min}`;
  const high = spec.max === undefined
    ? ""
    : spec.isMaxOpen
    ? ` below ${spec.max}`
    : ` of at most ${spec.max}`;
  return `${what}${low}${low !== "" && high !== "" ? " and" : ""}${high}`;
}
