/**
 * What an option is: a row of the tables of options.
 *
 * @module
 */

/** What a value is. */
export type OptionKind = "integer" | "number" | "text" | "bytes" | "choice" | "flag";

/** One option. */
export interface OptionSpec {
  /** Name in the library; the command line has `--kebab-case`. */
  readonly key: string;
  /** What a value is. */
  readonly kind: OptionKind;
  /** Placeholder of the value in the help. */
  readonly value?: string;
  /** What it does, in the help. */
  readonly help: string;
  /** Value when not given; undefined if it follows from others (the help says how). */
  readonly default?: string | number | boolean;
  /** Smallest value. */
  readonly min?: number;
  /** Largest value. */
  readonly max?: number;
  /** The bound itself is not allowed. */
  readonly isMinOpen?: boolean;
  /** Whether `max` itself is not allowed. */
  readonly isMaxOpen?: boolean;
  /** Allowed values of a choice. */
  readonly choices?: readonly string[];
  /** All values of a number, if they are few. */
  readonly values?: readonly number[];
  /** The numbers of a run depend on it: kept in checkpoints and taken over on resume. */
  readonly isRecipe?: boolean;
}

/** A whole number from 1. */
export const COUNT = { kind: "integer", value: "N", min: 1 } as const;
/** Given or not. */
export const FLAG = { kind: "flag", default: false } as const;
/** A number of steps; 0 means never, or all. */
export const PERIOD = { kind: "integer", value: "N", min: 0 } as const;
/** From 0 to below 1. */
export const FRACTION = {
  kind: "number",
  value: "X",
  min: 0,
  max: 1,
  isMaxOpen: true,
  isRecipe: true,
} as const;
